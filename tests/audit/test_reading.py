"""What a history tells, and what of it is missing: never a silent hole."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowHistory

from agentflow.adapters.history.executions import runs_in
from agentflow.adapters.history.finding import Finding
from agentflow.audit.reading import findings_of
from agentflow.audit.replaying import ReplayedRuns
from agentflow.audit.selection import SelectedRun
from agentflow.converter import agentflow_data_converter
from agentflow.errors import AuditError
from tests.audit.places import Desk, recorded
from tests.replay.test_replay import AGENTS
from tests.workflow.agents import Banker


async def read(history: WorkflowHistory, agents: Sequence[type] = AGENTS) -> list[Finding]:
    ((name, executions),) = runs_in([history]).items()
    run = SelectedRun(name, executions)
    async with ReplayedRuns(agents, "default") as replayed:
        return list((await findings_of(run, agentflow_data_converter, replayed)).findings)


def of(findings: Sequence[Finding], kind: str) -> list[Finding]:
    return [finding for finding in findings if finding.kind == kind]


def gaps(findings: Sequence[Finding]) -> list[tuple[str, Any]]:
    return [(finding.facts["gap"], finding.event) for finding in of(findings, "gap")]


def payload(history: WorkflowHistory, event: int, attribute: str = "result") -> Payload:
    found = history.events[event - 1]
    attributes = getattr(found, str(found.WhichOneof("attributes")))
    return getattr(attributes, attribute).payloads[0]


async def test_a_call_is_told_with_the_decision_that_allowed_it_and_who_granted_it() -> None:
    (call,) = of(await read(recorded("told-of-approvals")), "tool_call")
    assert call.facts["granted_by"] == ["ann", "bob"]
    assert (call.facts["verdict"], call.facts["rule"]) == ("allow", "large, huge")
    assert (call.facts["is_bound"], call.facts["effect"]) == (True, "done")
    assert call.contents["arguments"] == {"account": "alice", "amount": "2000.00"}


async def test_nothing_that_was_said_is_among_the_facts() -> None:
    for finding in await read(recorded("told-of-approvals")):
        assert "alice" not in str(finding.facts)
        assert "2000" not in str(finding.facts)


async def test_decisions_that_did_not_count_are_told_with_their_reasons() -> None:
    decisions = of(await read(recorded("told-of-approvals")), "decision")
    refused = [each.contents["detail"] for each in decisions if each.facts["subject"] == "signal"]
    assert refused == [
        "approve: malformed: 2 payloads, expected one JSON object",
        "unknown signal 'nonsense'; known: approve, reject, resolve, revoke, freeze, unfreeze",
    ]


async def test_a_signature_is_verified_again_with_the_keys_that_the_run_was_pinned_to() -> None:
    decisions = of(await read(recorded("signed")), "approval_decision")
    assert "signed" in {each.facts["identity"] for each in decisions}
    signed = next(each for each in decisions if each.facts["identity"] == "signed")
    assert signed.facts["keys"]
    assert signed.contents["token"].count(".") == 2


async def test_each_movement_of_the_budget_is_told() -> None:
    movements = of(await read(recorded("told-of-approvals")), "budget")
    assert [(each.facts["movement"], each.facts["name"]) for each in movements] == [
        ("reserved", "chat-1"),
        ("settled", "chat-1"),
        ("reserved", "tool-1"),
        ("settled", "tool-1"),
        ("reserved", "chat-2"),
        ("settled", "chat-2"),
    ]
    assert movements[-1].facts["settled_usd"] == "0.000306"


async def test_a_refused_call_is_told_though_nothing_was_carried_out() -> None:
    (call,) = of(await read(recorded("frozen")), "refused_call")
    assert call.facts["error"] == "denied"
    assert call.contents["arguments"]


async def test_a_model_call_has_its_prompt_its_tokens_and_its_cost() -> None:
    findings = await read(recorded("told-of-approvals"))
    (prompt,), calls = of(findings, "prompt"), of(findings, "model_call")
    assert {call.facts["prompt"] for call in calls} == {prompt.facts["prompt"]}
    assert [call.facts["cost_usd"] for call in calls] == ["0.000135", "0.000171"]


async def test_a_run_without_its_code_is_told_as_far_as_events_go() -> None:
    findings = await read(recorded("told-of-approvals"), agents=())
    assert [name for name, _ in gaps(findings)] == ["not_replayed"]
    assert of(findings, "tool_call")
    assert not of(findings, "decision")


async def test_code_that_does_something_else_is_not_believed() -> None:
    history = recorded("told-of-approvals")
    scheduled = next(e for e in history.events if e.HasField("activity_task_scheduled_event_attributes"))
    scheduled.activity_task_scheduled_event_attributes.activity_id = "99"
    findings = await read(history)
    assert [name for name, _ in gaps(findings)] == ["diverged"]
    assert not of(findings, "decision")


async def test_an_execution_that_expired_is_a_gap_and_what_it_left_is_told() -> None:
    findings = await read(recorded("continued"))
    assert [name for name, _ in gaps(findings)] == ["history_expired"]
    assert [each for each in of(findings, "decision") if each.source == "history"]
    assert of(findings, "manifest")


async def test_a_value_of_another_version_is_a_gap_and_is_kept_as_it_is() -> None:
    history = recorded("reads-and-a-write")
    chat = next(e for e in history.events if e.HasField("activity_task_scheduled_event_attributes"))
    chat.activity_task_scheduled_event_attributes.input.payloads[0].data = b'{"of": "tomorrow"}'
    findings = await read(history, agents=())
    assert ("unknown_schema", chat.event_id) in gaps(findings)
    assert {"of": "tomorrow"} in [each.contents.get("input") for each in of(findings, "model_call")]


async def test_an_outcome_of_another_version_is_a_gap() -> None:
    history = recorded("reads-and-a-write")
    payload(history, len(history.events)).data = b'{"status": "splendid"}'
    findings = await read(history, agents=())
    assert ("unknown_schema", len(history.events)) in gaps(findings)
    assert of(findings, "ended")[0].contents["result"] == {"status": "splendid"}


async def test_a_value_that_is_encoded_by_somebody_else_is_a_gap() -> None:
    history = recorded("reads-and-a-write")
    payload(history, len(history.events)).metadata["encoding"] = b"binary/encrypted"
    assert ("unreadable_payload", len(history.events)) in gaps(await read(history, agents=()))


async def test_a_value_that_external_storage_lost_is_a_gap() -> None:
    history = recorded("reads-and-a-write")
    lost = payload(history, len(history.events))
    lost.metadata["encoding"] = b"json/external-storage-reference"
    lost.external_payloads.add().size_bytes = 100
    assert ("missing_blob", len(history.events)) in gaps(await read(history, agents=()))


async def test_a_foreign_workflow_is_told_as_far_as_it_is_understood() -> None:
    history = recorded("reads-and-a-write")
    kept = [event for event in history.events if not event.HasField("marker_recorded_event_attributes")]
    findings = await read(WorkflowHistory(history.workflow_id, kept))
    assert "foreign_workflow" in [name for name, _ in gaps(findings)]
    assert of(findings, "started")


async def test_a_reset_is_told() -> None:
    history = recorded("reads-and-a-write")
    event = history.events[4]
    event.ClearField("attributes") if event.DESCRIPTOR.fields_by_name.get("attributes") else None
    event.workflow_task_failed_event_attributes.base_run_id = "before"
    event.workflow_task_failed_event_attributes.new_run_id = "after"
    (reset,) = of(await read(history, agents=()), "reset")
    assert reset.facts == {"from": "before", "to": "after"}


async def test_a_bundle_says_what_is_missing_run_by_run(desk: Desk, tmp_path: Path) -> None:
    manifest = await desk.export(
        tmp_path / "b", [recorded("circling"), recorded("continued")], agents=[Banker]
    )
    assert [run.gaps for run in manifest.runs] == [("not_replayed",), ("history_expired", "not_replayed")]
    assert manifest.gaps == 3
    assert (await desk.verify(tmp_path / "b")).ok


async def test_a_place_that_exists_is_not_written_over(desk: Desk, bundle: Path) -> None:
    before = (bundle / "digest.json").read_bytes()
    with pytest.raises(AuditError, match="exists"):
        await desk.export(bundle, [recorded("circling")])
    assert (bundle / "digest.json").read_bytes() == before


async def test_an_export_that_fails_leaves_nothing_in_its_place(desk: Desk, tmp_path: Path) -> None:
    (desk.home / "last.json").write_text("no chain")
    with pytest.raises(AuditError, match="doesn't say which export was last"):
        await desk.export(tmp_path / "b", [recorded("circling")])
    assert os.listdir(tmp_path) == [desk.home.name]


async def test_after_code_that_diverged_the_next_run_is_replayed(desk: Desk, tmp_path: Path) -> None:
    history = recorded("told-of-approvals")
    scheduled = next(e for e in history.events if e.HasField("activity_task_scheduled_event_attributes"))
    scheduled.activity_task_scheduled_event_attributes.activity_id = "99"
    manifest = await desk.export(tmp_path / "b", [history, recorded("circling")])
    assert [run.gaps for run in manifest.runs] == [("diverged",), ()]
