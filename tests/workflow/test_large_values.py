"""Values that are each small enough, and too long together: for one message, or for what a run takes along."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from agentflow import AgentTask, tools_of
from agentflow.activity.blob_calls import BlobCalls
from agentflow.adapters.history.executions import Histories
from agentflow.adapters.history.reader import read_run
from agentflow.contracts.escalation import Resolution
from agentflow.testing import ScriptedModel, answer, call, calls
from tests.workflow.harness import chain, replayed, serving
from tests.workflow.large_agents import QUARTER, Archive, Comparer, ForgetfulReader, LongReader, Reader

DONE = answer("done")
AGENTS: list[type] = [Reader, Comparer, LongReader, ForgetfulReader]


def reading(temporal: WorkflowEnvironment, script: list[Any], directory: Path, **settings: Any) -> Any:
    archive = settings.pop("archive", None) or Archive()
    return serving(
        temporal,
        ScriptedModel(script),
        directory,
        workflows=AGENTS,
        more_tools=tools_of(archive),
        **settings,
    )


async def test_twenty_calls_of_a_quarter_of_a_megabyte_each_at_once_are_carried_out(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with reading(temporal, [], tmp_path) as bank:
        handle = await bank.start(Comparer)
        outcome = await handle.result()
        (history,) = await chain(handle)
        await replayed(history, *AGENTS)
    assert outcome.output == ",".join([str(QUARTER + 2)] * 20), outcome.reason


async def test_an_answer_that_is_longer_than_a_payload_is_charged_once_and_not_used(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    asked = calls(*(("compare", {"text": f"{number:02}" + "x" * QUARTER}) for number in range(20)))
    async with reading(temporal, [asked], tmp_path) as bank:
        handle = await bank.start(Reader)
        escalation = await bank.escalation(handle)
        await bank.agents.resolve(handle.id, Resolution(action="abort", by="ann", text="no"))
        outcome = await handle.result()
    assert "above its worst case" in escalation.reason
    assert outcome.usage.model_calls == 1


async def test_twenty_local_reads_of_a_quarter_of_a_megabyte_each_fit_one_after_the_other(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    archive = Archive()
    asked = calls(*(("near_page", {"number": number}) for number in range(20)))
    async with reading(temporal, [asked, DONE], tmp_path, archive=archive) as bank:
        handle = await bank.start(Reader)
        outcome = await handle.result()
        (history,) = await chain(handle)
        await replayed(history, *AGENTS)
    assert outcome.status == "completed", outcome.reason
    assert sorted(archive.read) == list(range(20))
    assert 1 < archive.most_running < 20


async def test_a_run_takes_along_more_than_a_payload_may_be(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    archive = Archive()
    script = [call("page", number=number) for number in range(10)]
    async with reading(temporal, [*script, DONE], tmp_path, archive=archive) as bank:
        handle = await bank.start(LongReader)
        outcome = await handle.result()
        executions = await chain(handle)
        for history in executions:
            await replayed(history, *AGENTS)
    assert outcome.status == "completed", outcome.reason
    assert len(executions) > 1
    # The rule counts the pages of all executions.
    assert archive.read == list(range(9))
    assert outcome.tool_calls[-1].error == "denied: rule enough: nine pages have been read"
    assert any(loads(history) > 1 for history in executions)


async def test_a_state_that_is_longer_than_an_agent_allows_ends_the_run_with_the_name_of_the_setting(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    script = [call("page", number=number) for number in range(9)]
    async with reading(temporal, [*script, DONE], tmp_path) as bank:
        outcome = await bank.run(ForgetfulReader)
    assert outcome.status == "denied"
    assert "the limit is 500000 bytes of max_carried_bytes" in outcome.reason


@pytest.mark.parametrize(
    ("instead", "why"), [(None, "is not there"), (b"{}", "has another content")], ids=["lost", "changed"]
)
async def test_a_state_that_is_not_found_any_more_ends_the_run(
    temporal: WorkflowEnvironment,
    tmp_path: Path,
    instead: bytes | None,
    why: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agentflow.workflow.state_parts.MAX_ATTEMPTS", 2)
    get = BlobCalls.get

    async def lose(store: BlobCalls, root: Any, name: Any) -> bytes | None:
        found = await get(store, root, name)
        return instead if found is not None and len(found) > 300_000 else found

    monkeypatch.setattr(BlobCalls, "get", lose)
    script = [call("page", number=number) for number in range(9)]
    async with reading(temporal, [*script, DONE], tmp_path) as bank:
        outcome = await bank.run(LongReader)
    assert outcome.status == "denied"
    assert why in outcome.reason


async def test_a_signal_that_comes_while_a_long_state_is_stored_is_taken_along(
    temporal: WorkflowEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, sent, stored = BlobCalls.put, list[str](), list[str]()

    async def interrupted(store: BlobCalls, root: Any, name: Any, data: bytes) -> None:
        await put(store, root, name, data)
        if len(data) > 300_000:
            stored.append(name)
        if len(stored) == 1 and not sent:
            sent.append("approval-9")
            await handle.signal("approve", {"approval_id": "approval-9", "by": "eve"})
            # Longer than the workflow task may take: the server is told, and answers with the signal.
            await asyncio.sleep(2)

    monkeypatch.setattr(BlobCalls, "put", interrupted)
    script = [call("page", number=number) for number in range(9)]
    async with reading(temporal, [*script, DONE], tmp_path) as bank:
        task = AgentTask(input="hello", requested_by="rita")
        handle: WorkflowHandle[Any, Any] = await bank.client.start_workflow(
            LongReader.run,
            task,
            id=f"interrupted-{uuid4()}",
            task_queue=bank.task_queue,
            task_timeout=timedelta(seconds=1),
        )
        outcome = await handle.result()
        log = await bank.agents.decisions(handle.id)
        for history in await chain(handle):
            await replayed(history, *AGENTS)
    assert outcome.status == "completed", outcome.reason
    assert [line.by for line in log].count("eve") == 1


def loads(history: Any) -> int:
    """How many parts of a state an execution loads."""
    return sum(
        event.activity_task_scheduled_event_attributes.activity_type.name == "load_state"
        for event in history.events
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    )


async def test_what_a_run_took_along_is_found_where_its_earlier_histories_are_gone(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    script = [call("page", number=number) for number in range(9)]
    async with reading(temporal, [*script, DONE], tmp_path) as bank:
        handle = await bank.start(LongReader)
        await handle.result()
        executions = await Histories(bank.client).of(handle.id)
        (last,) = [one for one in executions if one.history and loads(one.history)][-1:]
        story = await read_run(bank.client.data_converter, handle.id, [last])
    pages = [output.value for outputs in story.outputs.values() for output in outputs]
    assert any(isinstance(page, str) and page.startswith("page 0 ") for page in pages)
    assert not [finding for finding in story.findings if finding.facts.get("of") == "carried state"]
