"""Temporal's SDK takes a replay past a local activity earlier than the run went, if a query came with it (ADR 42)."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import WorkflowHandle, WorkflowHistory
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from agentflow import AgentClient, tools_of
from agentflow.testing import ScriptedModel, answer, call, scripted_plugin
from tests.workflow.agents import Banker, Brief
from tests.workflow.harness import Harness, chain, eventually, replayed, serving
from tests.workflow.stepping_agents import Forbidden
from tests.workflow.tools import Bank

DONE = answer({"account": "alice", "amount": "5.00"})
SCRIPT = [call("balance", account="alice"), call("pay", account="alice", amount="5.00"), DONE]


async def has_asked(handle: WorkflowHandle[Any, Any]) -> bool | None:
    history = await handle.fetch_history()
    return any(event.HasField("activity_task_scheduled_event_attributes") for event in history.events) or None


def went_on_later(history: WorkflowHistory) -> bool:
    """Whether the run's first activity was scheduled in a later workflow task than its manifest was read in."""
    markers = [
        event.marker_recorded_event_attributes
        for event in history.events
        if event.HasField("marker_recorded_event_attributes")
    ]
    pinned = next(marker for marker in markers if marker.marker_name == "core_local_activity")
    scheduled = next(
        event.activity_task_scheduled_event_attributes
        for event in history.events
        if event.HasField("activity_task_scheduled_event_attributes")
    )
    return scheduled.workflow_task_completed_event_id > pinned.workflow_task_completed_event_id


async def left_by_the_worker_that_began_it(
    temporal: WorkflowEnvironment, directory: Path, bank: Bank
) -> tuple[list[str], list[WorkflowHistory]]:
    """How three runs ended, and their histories: asked about before they began, in one worker and then another."""
    queue, model = f"test-{uuid4()}", ScriptedModel(SCRIPT)
    plugin = scripted_plugin(model, tools=tools_of(bank), directory=directory)
    client = await temporal.connect_client(plugins=[plugin])
    early = Harness(client, AgentClient(client), bank, queue)
    handles = [await early.start(Banker) for _ in range(3)]
    asked = [asyncio.create_task(early.agents.status(handle.id)) for handle in handles]
    async with Worker(client, task_queue=queue, workflows=[Banker], no_remote_activities=True):
        await asyncio.gather(*asked)
        for handle in handles:
            await eventually(partial(has_asked, handle))
    async with serving(temporal, model, directory, queue=queue, bank=bank):
        # A run that doesn't believe its answers waits for a person.
        async with asyncio.timeout(60):
            outcomes = [await handle.result() for handle in handles]
    ended = [f"{outcome.status}{outcome.reason}" for outcome in outcomes]
    return ended, [await handle.fetch_history() for handle in handles]


async def test_answers_count_in_a_run_that_was_asked_about_before_its_first_worker_came_and_died(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    """The second worker has it from a replay: what was asked before has the name there that it had."""
    bank, histories = Bank(), list[WorkflowHistory]()
    # Whether a query reaches the server before its run's first task does is the server's affair.
    while not any(map(went_on_later, histories)):
        assert len(histories) < 60, "no query came early enough: nothing was tried"
        ended, others = await left_by_the_worker_that_began_it(temporal, tmp_path, bank)
        assert ended == ["completed"] * 3
        histories += others
    assert bank.paid == [("alice", "5.00")] * len(histories)
    for history in histories:
        await replayed(history)


def tasks_with_markers(history: WorkflowHistory) -> int:
    """In how many workflow tasks the run recorded something."""
    return len(
        {
            event.marker_recorded_event_attributes.workflow_task_completed_event_id
            for event in history.events
            if event.HasField("marker_recorded_event_attributes")
        }
    )


async def test_what_code_decided_is_replayed_in_a_run_that_was_asked_about_before_its_worker_came(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    plugin = scripted_plugin(ScriptedModel([]), tools=tools_of(Bank()), directory=tmp_path)
    client = await temporal.connect_client(plugins=[plugin])
    histories = list[WorkflowHistory]()
    while not any(tasks_with_markers(history) > 1 for history in histories):
        assert len(histories) < 60, "no query came early enough: nothing was tried"
        bank = Harness(client, AgentClient(client), Bank(), f"test-{uuid4()}")
        handles = [await bank.start(Forbidden) for _ in range(3)]
        asked = [asyncio.create_task(bank.agents.status(handle.id)) for handle in handles]
        async with Worker(client, task_queue=bank.task_queue, workflows=[Forbidden]):
            await asyncio.gather(*asked)
            outcomes = [await handle.result() for handle in handles]
        assert [outcome.output for outcome in outcomes] == ["rule none: nobody is paid"] * 3
        histories += [await handle.fetch_history() for handle in handles]
    for history in histories:
        await replayed(history, Forbidden)


async def asked_about_as_its_answer_came(
    temporal: WorkflowEnvironment, directory: Path
) -> list[WorkflowHistory]:
    """The executions of a run that came to wait for people in a workflow task that a query came with."""
    queue, model = f"test-{uuid4()}", ScriptedModel([call("pay", account="alice", amount="600.00"), DONE])
    plugin = scripted_plugin(model, tools=tools_of(Bank()), directory=directory)
    client = await temporal.connect_client(plugins=[plugin])
    bank = Harness(client, AgentClient(client), Bank(), queue)
    async with Worker(client, task_queue=queue, workflows=[Brief], no_remote_activities=True):
        handle = await bank.start(Brief)
        await eventually(partial(has_asked, handle))

    async def is_answered() -> bool | None:
        events = (await handle.fetch_history()).events
        return any(event.HasField("activity_task_completed_event_attributes") for event in events) or None

    async with Worker(client, task_queue=queue, workflows=[]):
        await eventually(is_answered)
    asked = asyncio.create_task(bank.agents.status(handle.id))
    async with Worker(client, task_queue=queue, workflows=[Brief]):
        await asked
        request = await bank.pending(handle)
        await bank.agents.approve(handle.id, request.id, by="ann")
        await handle.result()
        return await chain(handle)


async def test_whether_a_waiting_run_continues_as_new_is_replayed_though_a_query_came_as_it_began_to_wait(
    temporal: WorkflowEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """History is long enough, by its events, from the workflow task on that the query makes."""
    for least in (14, 15, 16):
        monkeypatch.setattr("agentflow.workflow.continuation.MIN_EVENTS", least)
        histories = await asked_about_as_its_answer_came(temporal, tmp_path)
        assert len(histories) > 1
        for history in histories:
            await replayed(history, Brief)
