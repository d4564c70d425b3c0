"""The decision log as events of the Open Cybersecurity Schema Framework, for a SIEM.

Each record is an API Activity (class 6003 of OCSF 1.6), with the security control profile where something was
allowed or refused. What has no place in the schema is under ``unmapped``, as it asks.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from agentflow.audit.chain import leaf_hash, line_of
from agentflow.contracts.audit import Record, RecordKind
from agentflow.contracts.bundle import BundleManifest
from agentflow.contracts.wire import Json

VERSION = "1.6.0"
CATEGORY, CLASS = 6, 6003
_CREATE, _READ, _UPDATE, _OTHER = 1, 2, 3, 99
_INFORMATIONAL, _LOW, _MEDIUM = 1, 2, 3
_SUCCESS, _FAILURE, _UNKNOWN = 1, 2, 0
_ALLOWED, _DENIED = 1, 2

_PEOPLE: frozenset[RecordKind] = frozenset(
    {"approval_decision", "resolution", "freeze", "revocation", "cancel_requested", "reset"}
)
_ACTIVITIES: dict[RecordKind, tuple[int, str]] = {
    "started": (_CREATE, "Create"),
    "model_call": (_READ, "Read"),
    "tool_call": (_UPDATE, "Update"),
    "approval_decision": (_UPDATE, "Update"),
}


def events(manifest: BundleManifest, records: Iterable[Record]) -> Iterator[dict[str, Json]]:
    """An event for each record, in their order."""
    agents = {run.workflow_id: run.agent or run.workflow_type for run in manifest.runs}
    for record in records:
        yield _event(manifest, record, agents.get(record.run, ""))


def _event(manifest: BundleManifest, record: Record, agent: str) -> dict[str, Json]:
    facts = record.facts
    number, name = _ACTIVITIES.get(record.kind, (_OTHER, record.kind))
    allowed = _verdict(record)
    status = _status(record)
    event: dict[str, Json] = {
        "activity_id": number,
        "activity_name": name,
        "actor": _actor(record, agent),
        "api": {
            "operation": str(facts.get("tool") or facts.get("model") or facts.get("signal") or record.kind),
            "service": {"name": "agentflow"},
        },
        "category_name": "Application Activity",
        "category_uid": CATEGORY,
        "class_name": "API Activity",
        "class_uid": CLASS,
        "metadata": {
            "correlation_uid": record.run,
            "log_name": "agentflow decision log",
            "product": {
                "name": "agentflow",
                "vendor_name": "agentflow",
                "version": manifest.agentflow_version,
            },
            "profiles": ["security_control"] if allowed else [],
            "sequence": record.seq,
            "uid": leaf_hash(line_of(record)),
            "version": VERSION,
        },
        "severity_id": _severity(record, allowed),
        "src_endpoint": {"name": str(facts.get("sent_by") or agent or "temporal")},
        "status_id": status,
        "time": round(datetime.fromisoformat(record.at).timestamp() * 1_000),
        "type_uid": CLASS * 100 + number,
        "unmapped": {"kind": record.kind, "execution": record.execution, "event": record.event, **facts},
    }
    if allowed:
        event |= {"action_id": allowed, "disposition_id": allowed}
    return event


def _actor(record: Record, agent: str) -> dict[str, Json]:
    """The person where one acted; else the agent."""
    by = record.facts.get("by") or record.facts.get("requested_by")
    is_persons = record.kind == "decision" and record.facts.get("subject") != "tool_call"
    if by and (is_persons or record.kind in {*_PEOPLE, "started"}):
        return {"user": {"name": str(by), "type_id": 1}}
    return {"app_name": agent}


def _verdict(record: Record) -> int | None:
    """Whether something was allowed or refused; ``None`` where nothing was to be."""
    facts = record.facts
    if record.kind == "refused_call":
        return _DENIED
    if record.kind in ("tool_call", "decision") and "verdict" in facts:
        return _ALLOWED if facts["verdict"] == "allow" else _DENIED
    counted = facts.get("counted") if record.kind == "approval_decision" else facts.get("accepted")
    if counted is not None:
        return _ALLOWED if counted else _DENIED
    return None


def _status(record: Record) -> int:
    facts = record.facts
    if record.kind == "gap" or facts.get("state") in ("failed", "cancelled"):
        return _FAILURE
    if record.kind in ("outcome", "ended"):
        return _SUCCESS if facts.get("status") == "completed" else _FAILURE
    return _UNKNOWN if facts.get("state") == "open" else _SUCCESS


def _severity(record: Record, allowed: int | None) -> int:
    is_unbound = record.kind == "tool_call" and record.facts.get("is_bound") is False
    if record.kind == "gap" or is_unbound:
        return _MEDIUM
    return _LOW if allowed == _DENIED else _INFORMATIONAL
