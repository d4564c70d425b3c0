"""A run's timeline, from Temporal's history alone: no worker is asked."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal

from temporalio.client import Client

from agentflow.adapters.history.executions import Histories
from agentflow.adapters.history.finding import Finding, document
from agentflow.adapters.history.reader import read_run
from agentflow.adapters.history.spent import share_begins, spent_by
from agentflow.adapters.history.story import Story
from agentflow.contracts.audit import RecordKind
from agentflow.contracts.timeline import Step, StepKind, StepState, Timeline
from agentflow.contracts.wire import Json

MAX_CHILD_DEPTH = 5


async def timeline_of(
    client: Client,
    workflow_id: str,
    *,
    content: bool = False,
    depth: int = MAX_CHILD_DEPTH,
    histories: Histories | None = None,
) -> Timeline:
    """A run's timeline.

    Args:
        client: With the data converter that the run's payloads need.
        workflow_id: The run.
        content: Whether what was said is in it.
        depth: How many levels of child runs to follow.
        histories: What looks before this one have read.

    Raises:
        temporalio.service.RPCError: there is no such run, or the server can't be reached.
    """
    histories = histories or Histories(client)
    executions = await histories.of(workflow_id)
    story = await read_run(client.data_converter, workflow_id, executions)
    spent = await spent_by(client, workflow_id, executions[-1].run_id, histories)
    children = [
        await timeline_of(
            client, str(child.facts["workflow"]), content=content, depth=depth - 1, histories=histories
        )
        for child in story.findings
        if child.kind == "child" and depth > 0
    ]
    return Timeline(
        workflow_id=workflow_id,
        workflow_type=story.workflow_type,
        executions=len(executions),
        is_open=story.is_open,
        cost_usd=spent.cost_usd,
        possibly_billed_usd=spent.possibly_billed_usd,
        steps=_steps(story, content=content),
        children=tuple(children),
    )


async def model_costs(client: Client, workflow_id: str, run_id: str) -> list[tuple[str, Decimal]]:
    """Models, and what each of their answers cost as reported, of one of a list of runs (``share_of``).

    Raises:
        temporalio.service.RPCError: there is no such run, or the server can't be reached.
    """
    executions = await Histories(client).of(workflow_id, run_id)
    story = await read_run(client.data_converter, workflow_id, executions)
    order = {execution.run_id: number for number, execution in enumerate(executions)}
    begins = share_begins(executions)
    since = (order[begins[0]], begins[1]) if begins else (0, 0)
    return [
        (str(finding.facts.get("model", "model")), Decimal(str(finding.facts["cost_usd"])))
        for finding in story.findings
        if finding.kind == "model_call"
        and "cost_usd" in finding.facts
        and (order[finding.execution], finding.facts["ended_event"]) > since
    ]


def _steps(story: Story, *, content: bool) -> tuple[Step, ...]:
    steps = [
        _step(finding, *found, content=content)
        for finding in story.findings
        if (found := _named(finding)) is not None
    ]
    return tuple(sorted(steps, key=lambda step: step.at))


def _step(finding: Finding, kind: StepKind, name: str, *, content: bool) -> Step:
    facts = finding.facts
    usage = document(facts.get("usage")) if kind == "model" else {}
    took = facts.get("milliseconds")
    cost = facts.get("cost_usd") if kind == "model" else None
    return Step(
        at=finding.at,
        kind=kind,
        name=name,
        state=_state(finding),
        seconds=None if took is None else timedelta(milliseconds=took).total_seconds(),
        detail=_DETAILS.get(finding.kind, _of_other)(finding),
        attempts=int(facts.get("attempts", 1)),
        input_tokens=int(usage.get("input_tokens", 0)),
        output_tokens=int(usage.get("output_tokens", 0)),
        cost_usd=None if cost is None else Decimal(str(cost)),
        content=_content(finding) if content else None,
    )


_NAMED: Mapping[RecordKind, tuple[StepKind, str]] = {
    "started": ("started", "workflow_type"),
    "model_call": ("model", "model"),
    "tool_call": ("tool", "tool"),
    "approval_requested": ("approval", "tool"),
    "resolution": ("signal", "signal"),
    "freeze": ("signal", "signal"),
    "revocation": ("signal", "signal"),
    "child": ("child", "workflow_type"),
    "effect": ("other", "activity"),
    "guard": ("other", "activity"),
    "notice": ("other", "activity"),
    "activity": ("other", "activity"),
    "outcome": ("ended", "status"),
}
"""Findings that have a line, and the fact that names it."""
_FIXED: Mapping[RecordKind, tuple[StepKind, str]] = {
    "continued": ("continued", "continued as new"),
    "manifest": ("other", "manifest"),
    "cancel_requested": ("signal", "cancel"),
    "reset": ("other", "reset"),
}


def _named(finding: Finding) -> tuple[StepKind, str] | None:
    """What a finding is in a timeline; ``None`` if it has no line there."""
    facts, kind = finding.facts, finding.kind
    if kind in _NAMED:
        step, fact = _NAMED[kind]
        return step, str(facts.get(fact, step))
    if kind == "approval_decision":
        return ("update" if facts["door"] == "update" else "signal"), str(facts.get("verdict") or "malformed")
    if kind == "signal":
        return "signal", str(finding.contents.get("signal", ""))
    if kind == "ended":
        return "ended", _state(finding)
    return _FIXED.get(kind) if facts.get("state") != "carried" else None


def _state(finding: Finding) -> StepState:
    if finding.kind == "ended":
        return "cancelled" if finding.facts["status"] in ("terminated", "cancelled") else "failed"
    state: StepState = finding.facts.get("state", "done")
    return state


def _of_model(finding: Finding) -> str:
    facts = finding.facts
    if failure := facts.get("failure"):
        return f"failed: {failure}"
    if "finish_reason" not in facts:
        return ""
    calls: list[Json] = document(finding.contents.get("answer")).get("tool_calls") or []
    wanted = ", ".join(str(document(call).get("tool")) for call in calls)
    return f"wants {wanted}" if wanted else f"answers ({facts['finish_reason']})"


def _of_tool(finding: Finding) -> str:
    facts = finding.facts
    granted = f", granted by {', '.join(facts['granted_by'])}" if facts.get("granted_by") else ""
    parts = [
        "local" if facts.get("local") else f"rule {facts['rule']}{granted}" if "rule" in facts else "",
        str(facts.get("error", "")),
        "replayed from the ledger" if facts.get("from_ledger") else "",
        f"failed: {facts['failure']}" if "failure" in facts else "",
    ]
    return "; ".join(part for part in parts if part)


def _of_person(finding: Finding) -> str:
    """Who sent it, and about what, if it says so."""
    facts = finding.facts
    parts = [str(facts[name]) for name in ("approval_id", "escalation_id", "action") if facts.get(name)]
    return " ".join([*parts, *([f"by {facts['by']}"] if facts.get("by") else [])])


def _of_start(finding: Finding) -> str:
    facts = finding.facts
    proof = {"token": "signed", "header": "by header"}.get(str(facts.get("requester")), "not verified")
    return f"for {facts.get('requested_by', '?')} ({proof}), tenant {facts.get('tenant', 'default')}"


def _of_end(finding: Finding) -> str:
    return str(finding.contents.get("reason", ""))


def _of_other(finding: Finding) -> str:
    return f"failed: {finding.facts['failure']}" if "failure" in finding.facts else ""


_DETAILS: Mapping[RecordKind, Callable[[Finding], str]] = {
    "started": _of_start,
    "manifest": lambda finding: f"release {finding.facts.get('release', '')}",
    "model_call": _of_model,
    "tool_call": _of_tool,
    "approval_requested": lambda finding: f"{finding.facts['approval_id']}, rule {finding.facts['rule']}",
    "approval_decision": _of_person,
    "resolution": _of_person,
    "freeze": _of_person,
    "revocation": _of_person,
    "child": lambda finding: str(finding.facts["workflow"]),
    "outcome": _of_end,
    "ended": _of_end,
}
"""In words, without what was said."""

_SAID: Mapping[RecordKind, str] = {
    "started": "input",
    "model_call": "answer",
    "approval_requested": "arguments",
    "outcome": "output",
}


def _content(finding: Finding) -> Json:
    """What was said: of most steps one thing, of a tool's call what went in and came out."""
    said = finding.contents
    if finding.kind == "tool_call":
        parts = {name: said[name] for name in ("arguments", "output", "error") if name in said}
        return parts or None
    names = {
        "started": "input",
        "model_call": "answer",
        "approval_requested": "arguments",
        "outcome": "output",
    }
    return said.get(names.get(finding.kind, ""))
