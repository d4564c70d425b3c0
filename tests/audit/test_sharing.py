"""The form of a bundle that may be given away: the log verifies, and nothing marked is in it."""

import json
from pathlib import Path
from typing import Any

import pytest

from agentflow.audit.bundle import DECISIONS, TEXTS, read_manifest
from agentflow.audit.log_check import read_records
from agentflow.audit.ocsf import events
from agentflow.audit.sharing import share
from agentflow.core.schema import compile_schema
from agentflow.errors import AuditError
from agentflow.redaction import Redactor
from tests.audit.places import Desk, recorded


def texts(place: Path) -> list[Any]:
    return [json.loads(line) for line in (place / TEXTS).read_bytes().splitlines()]


async def test_the_log_verifies_without_what_was_said(desk: Desk, bundle: Path, tmp_path: Path) -> None:
    await share(bundle, tmp_path / "s", desk.keys, Redactor(), desk.signer)
    assert (await desk.verify(tmp_path / "s", log_only=True)).ok
    assert not (await desk.verify(tmp_path / "s")).ok


async def test_an_edited_record_is_found_in_it(desk: Desk, bundle: Path, tmp_path: Path) -> None:
    await share(bundle, tmp_path / "s", desk.keys, Redactor(), desk.signer)
    log = tmp_path / "s" / DECISIONS
    log.write_bytes(log.read_bytes().replace(b'"ann"', b'"eve"', 1))
    assert not (await desk.verify(tmp_path / "s", log_only=True)).ok


async def test_what_is_told_by_its_form_is_left_out(desk: Desk, tmp_path: Path) -> None:
    history = recorded("told-of-approvals")
    update = next(
        e for e in history.events if e.HasField("workflow_execution_update_accepted_event_attributes")
    )
    accepted = update.workflow_execution_update_accepted_event_attributes.accepted_request
    said = json.loads(accepted.input.args.payloads[0].data)
    said["reason"] = "call +44 20 7946 0958, card 4242 4242 4242 4242"
    accepted.input.args.payloads[0].data = json.dumps(said).encode()
    await desk.export(tmp_path / "b", [history])
    await share(tmp_path / "b", tmp_path / "s", desk.keys, Redactor(), desk.signer)
    reasons = [each["texts"].get("reason") for each in texts(tmp_path / "s")]
    assert "call [phone], card [card]" in reasons
    assert "4242" not in (tmp_path / "s" / TEXTS).read_text()


async def test_of_a_run_whose_marks_nobody_knows_nothing_is_told(desk: Desk, tmp_path: Path) -> None:
    await desk.export(tmp_path / "b", [recorded("told-of-approvals")], agents=())
    shared = await share(tmp_path / "b", tmp_path / "s", desk.keys, Redactor(), desk.signer)
    assert shared.without_texts == {"marked values unknown": 1}
    assert texts(tmp_path / "s") == []


async def test_of_a_run_that_was_erased_nothing_is_told(desk: Desk, bundle: Path, tmp_path: Path) -> None:
    for run in read_manifest(bundle).runs:
        await desk.keys.delete(run.key_id)
    shared = await share(bundle, tmp_path / "s", desk.keys, Redactor(), desk.signer)
    assert shared.without_texts == {"erased": 4}


async def test_tokens_and_hashes_of_what_was_said_are_not_shared(
    desk: Desk, bundle: Path, tmp_path: Path
) -> None:
    await share(bundle, tmp_path / "s", desk.keys, Redactor(), desk.signer)
    names = {name for each in texts(tmp_path / "s") for name in each["texts"]}
    assert "arguments" in names
    assert not names & {"token", "arguments_hash", "transcript_head", "known_values"}


async def test_nothing_is_written_over(desk: Desk, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    with pytest.raises(AuditError, match="exists"):
        await share(bundle, tmp_path / "s", desk.keys, Redactor(), desk.signer)


# What OCSF 1.6 requires of an API Activity: its base event, and the class's own.
API_ACTIVITY = {
    "type": "object",
    "required": [
        *("activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"),
        *("actor", "api", "src_endpoint"),
    ],
    "properties": {
        "activity_id": {"enum": [0, 1, 2, 3, 4, 99]},
        "category_uid": {"const": 6},
        "class_uid": {"const": 6003},
        "severity_id": {"enum": [0, 1, 2, 3, 4, 5, 6, 99]},
        "status_id": {"enum": [0, 1, 2, 99]},
        "action_id": {"enum": [0, 1, 2]},
        "time": {"type": "integer", "minimum": 1_500_000_000_000},
        "metadata": {
            "type": "object",
            "required": ["product", "version"],
            "properties": {"product": {"type": "object", "required": ["vendor_name"]}},
        },
        "actor": {"anyOf": [{"required": ["user"]}, {"required": ["app_name"]}]},
        "api": {"type": "object", "required": ["operation"]},
        "src_endpoint": {"anyOf": [{"required": ["name"]}, {"required": ["svc_name"]}]},
    },
}


def test_each_record_is_an_api_activity_of_ocsf(bundle: Path) -> None:
    records = list(read_records(bundle))
    found = list(events(read_manifest(bundle), records))
    check = compile_schema(API_ACTIVITY, "event")
    assert len(found) == len(records)
    for event in found:
        assert check(event) is None
        assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]


def test_what_people_did_names_them_and_whether_it_was_allowed(bundle: Path) -> None:
    found = list(events(read_manifest(bundle), read_records(bundle)))
    approval = next(each for each in found if each["unmapped"].get("by") == "ann")
    assert approval["actor"] == {"user": {"name": "ann", "type_id": 1}}
    assert approval["action_id"] == 1
    refused = next(
        each for each in found if each["unmapped"]["kind"] == "decision" and "verdict" in each["unmapped"]
    )
    assert refused["action_id"] == 2
