"""Reads that run in the workflow's own worker, and outputs that are too long to tell."""

from pathlib import Path
from typing import Any

from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from agentflow.contracts.messages import ToolMessage
from agentflow.core.transcript import text_hash
from agentflow.testing import ScriptedModel, answer, call, calls
from tests.workflow.chatting_agents import Forgetful, Local
from tests.workflow.harness import serving


async def scheduled(handle: WorkflowHandle[Any, Any]) -> list[str]:
    history = await handle.fetch_history()
    return [
        event.activity_task_scheduled_event_attributes.activity_type.name
        for event in history.events
        if event.HasField("activity_task_scheduled_event_attributes")
    ]


async def test_a_local_read_takes_one_event_and_the_model_is_told(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel(
        [calls(("glance", {"account": "alice"}), ("glance", {"account": "bob"})), answer("ok")]
    )
    async with serving(temporal, model, tmp_path) as bank:
        handle = await bank.start(Local)
        outcome = await handle.result()
        assert await scheduled(handle) == ["chat", "chat"]
    told = [message.content for message in model.requests[-1].messages if isinstance(message, ToolMessage)]
    assert told == ['"alice has 100.00"', '"bob has 100.00"']
    assert [summary.tool for summary in outcome.tool_calls] == ["glance", "glance"]


async def test_its_text_is_sent_to_the_model_by_reference(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel([call("glance", account="alice"), answer("ok")])
    async with serving(temporal, model, tmp_path) as bank:
        handle = await bank.start(Local)
        await handle.result()
        history = await handle.fetch_history()
    assert sum(b"alice has 100.00" in event.SerializeToString() for event in history.events) == 1


async def test_a_local_read_that_fails_is_tried_again(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    model = ScriptedModel([call("glance", account="alice"), answer("ok")])
    async with serving(temporal, model, tmp_path) as bank:
        bank.bank.failures = [ConnectionError("away"), ConnectionError("away")]
        outcome = await bank.run(Local)
    assert outcome.status == "completed"
    assert bank.bank.looks == ["alice"] * 3


async def test_a_local_read_that_fails_for_good_goes_to_a_person(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel([call("glance", account="alice"), answer("ok")])
    async with serving(temporal, model, tmp_path) as bank:
        bank.bank.failures = [ConnectionError("away")] * 3
        handle = await bank.start(Local)
        escalation = await bank.escalation(handle)
        await handle.cancel()
        assert (await handle.result()).status == "cancelled"
    assert escalation.reason == "glance failed: ConnectionError: away"


async def test_rules_and_refusals_hold_for_local_reads(temporal: WorkflowEnvironment, tmp_path: Path) -> None:
    model = ScriptedModel([call("glance", account="hidden"), call("glance", account="closed"), answer("ok")])
    async with serving(temporal, model, tmp_path) as bank:
        outcome = await bank.run(Local)
    assert [summary.error for summary in outcome.tool_calls] == [
        "denied: rule hidden: not for the model",
        "failed: the account is closed",
    ]
    assert bank.bank.looks == ["closed"]


async def test_of_a_long_output_the_model_sees_the_beginning_and_history_has_the_whole(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel([call("statement", page=7, size=20_000), answer("ok")])
    async with serving(temporal, model, tmp_path) as bank:
        handle = await bank.start(Forgetful)
        await handle.result()
        history = await handle.fetch_history()
    (told,) = [m.content or "" for m in model.requests[-1].messages if isinstance(m, ToolMessage)]
    assert "page 7" in told
    assert "the first 1000 of 20009 bytes" in told
    assert len(told) < 1_300
    whole = '"page 7 ' + "x" * 20_000 + '"'
    assert text_hash(whole) in told
    assert sum(whole.encode() in event.SerializeToString() for event in history.events) == 1
