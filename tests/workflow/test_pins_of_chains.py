"""One run, one ledger, whatever made its executions: each takes the pin of those before it, or makes no write."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.common import RetryPolicy
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from agentflow import AgentOutcome, AgentTask
from agentflow.adapters.history import pins
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.effects import EffectQuery
from agentflow.contracts.escalation import Resolution
from agentflow.testing import ScriptedModel, answer, call, scripted_plugin
from tests.workflow.harness import ALL_AGENTS, Harness, eventually, replayed, serving
from tests.workflow.outside_doors import reset_to
from tests.workflow.retried_agents import Stumbler
from tests.workflow.test_forbidden_now import WORKFLOWS_ONLY
from tests.workflow.unreachable import make_outages_short

PAID = ("alice", "10.00")
PAYS = [call("pay", account="alice", amount="10.00"), answer({"account": "alice", "amount": "10.00"})]
FIRST_TASK = 4
_LONG_ENOUGH = timedelta(seconds=3)
"""For one worker to go before an attempt, and another one to come."""


def ledger_of(directory: Path, name: str) -> SQLiteLedger:
    return SQLiteLedger(directory / f"{name}.sqlite")


async def begun(worker: Harness, agent: str = "Banker", **options: Any) -> WorkflowHandle[Any, Any]:
    return await worker.client.start_workflow(
        agent,
        AgentTask(input="pay", requested_by="rita"),
        id=f"case-{uuid4()}",
        task_queue=worker.task_queue,
        result_type=AgentOutcome[Any],
        **options,
    )


async def ended(client: Client, workflow_id: str) -> AgentOutcome[Any]:
    """How the last execution of a workflow id ends."""
    handle = client.get_workflow_handle(workflow_id, result_type=AgentOutcome[Any])
    async with asyncio.timeout(60):
        return await handle.result()


async def paid_with_one(
    temporal: WorkflowEnvironment, directory: Path, model: ScriptedModel
) -> tuple[WorkflowHandle[Any, Any], Harness]:
    """A run that has paid on a worker with the ledger "one", which is gone, and has ended."""
    ledger = ledger_of(directory, "one")
    async with serving(temporal, model, directory, ledger=ledger) as worker:
        handle = await begun(worker)
        assert (await ended(worker.client, handle.id)).status == "completed"
    await ledger.close()
    return handle, worker


async def asked(worker: Harness, workflow_id: str) -> str:
    """Why the last execution of a workflow id asks a person."""
    handle = worker.client.get_workflow_handle(workflow_id)

    async def look() -> str | None:
        closed = (await handle.describe()).close_time
        assert not closed, f"it asked nobody, and has paid {worker.bank.paid}"
        escalation = (await worker.agents.status(workflow_id)).escalation
        return escalation.reason if escalation else None

    return await eventually(look)


async def needed(worker: Harness, workflow_id: str, ledger: SQLiteLedger) -> None:
    """See that the last execution asks a person, and names the ledger that it needs."""
    reason = await asked(worker, workflow_id)
    assert f"the run's writes are recorded in {(await ledger.identity()).id}" in reason


async def test_a_reset_to_the_first_task_pays_once_where_a_worker_with_another_ledger_takes_it_up(
    temporal: WorkflowEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_outages_short(monkeypatch)
    model = ScriptedModel(PAYS)
    handle, first = await paid_with_one(temporal, tmp_path, model)
    await reset_to(first, handle.id, str(handle.first_execution_run_id), FIRST_TASK)
    settings: dict[str, Any] = {"bank": first.bank, "queue": first.task_queue}
    two = ledger_of(tmp_path, "two")
    async with serving(temporal, model, tmp_path, ledger=two, **settings) as worker:
        await needed(worker, handle.id, ledger_of(tmp_path, "one"))
        again = worker.client.get_workflow_handle(handle.id)
        await replayed(await again.fetch_history())
        await again.terminate()
    assert first.bank.paid == [PAID]


async def test_a_reset_to_the_first_task_finds_what_it_paid_where_its_ledger_is_another_workers(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel(PAYS)
    handle, first = await paid_with_one(temporal, tmp_path, model)
    settings: dict[str, Any] = {"bank": first.bank, "queue": first.task_queue}
    two = ledger_of(tmp_path, "two")
    plugin = scripted_plugin(model, directory=tmp_path, ledger=two)
    client = await temporal.connect_client(plugins=[plugin])
    async with Worker(client, task_queue=first.task_queue, workflows=ALL_AGENTS, **WORKFLOWS_ONLY):
        await reset_to(first, handle.id, str(handle.first_execution_run_id), FIRST_TASK)
        again = client.get_workflow_handle(handle.id)

        async def is_begun() -> bool | None:
            """Whether the worker with the other ledger has taken up the run, and keeps it."""
            kinds = [event.WhichOneof("attributes") async for event in again.fetch_history_events()]
            return "marker_recorded_event_attributes" in kinds or None

        await eventually(is_begun)
        one = ledger_of(tmp_path, "one")
        async with serving(temporal, model, tmp_path, ledger=one, **settings):
            outcome = await ended(client, handle.id)
    assert [each.effect for each in outcome.tool_calls] == ["done"]
    assert first.bank.paid == [PAID]
    assert (await two.find(EffectQuery())).effects == ()


async def test_a_retry_by_temporal_pays_once_where_a_worker_with_another_ledger_takes_it_up(
    temporal: WorkflowEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_outages_short(monkeypatch)
    model, one, two = ScriptedModel([]), ledger_of(tmp_path, "one"), ledger_of(tmp_path, "two")
    policy = RetryPolicy(initial_interval=_LONG_ENOUGH, maximum_attempts=2)
    async with serving(temporal, model, tmp_path, ledger=one, workflows=[Stumbler]) as first:
        handle = await begun(first, "Stumbler", retry_policy=policy)
        attempt = first.client.get_workflow_handle(handle.id, run_id=handle.first_execution_run_id)

        async def has_failed() -> bool | None:
            return (await attempt.describe()).status is WorkflowExecutionStatus.FAILED or None

        await eventually(has_failed)
    assert first.bank.paid == [PAID]
    settings: dict[str, Any] = {"bank": first.bank, "queue": first.task_queue, "workflows": [Stumbler]}
    async with serving(temporal, model, tmp_path, ledger=two, **settings) as worker:
        await needed(worker, handle.id, one)
        again = worker.client.get_workflow_handle(handle.id)
        await replayed(await again.fetch_history(), Stumbler)
        await again.terminate()
    assert first.bank.paid == [PAID]


async def test_a_run_whose_earlier_execution_is_gone_begins_no_write_and_says_what_to_do(
    temporal: WorkflowEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_outages_short(monkeypatch)
    model = ScriptedModel(PAYS)
    handle, first = await paid_with_one(temporal, tmp_path, model)
    gone = str(handle.first_execution_run_id)
    await reset_to(first, handle.id, gone, FIRST_TASK)
    monkeypatch.setattr(pins._Search, "_events", without(gone))
    settings: dict[str, Any] = {"bank": first.bank, "queue": first.task_queue}
    two = ledger_of(tmp_path, "two")
    async with serving(temporal, model, tmp_path, ledger=two, **settings) as worker:
        reason = await asked(worker, handle.id)
        await worker.client.get_workflow_handle(handle.id).terminate()
    assert first.bank.paid == [PAID]
    assert "did not happen" not in reason  # the execution that is gone has paid
    assert f"execution {gone}, which may have written before, is not kept by Temporal any more" in reason
    assert "start another run" in reason


async def test_a_run_that_asks_as_its_histories_can_not_be_read_for_a_while_finds_what_it_paid_later(
    temporal: WorkflowEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_outages_short(monkeypatch)
    model = ScriptedModel(PAYS)
    handle, first = await paid_with_one(temporal, tmp_path, model)
    await reset_to(first, handle.id, str(handle.first_execution_run_id), FIRST_TASK)
    settings: dict[str, Any] = {"bank": first.bank, "queue": first.task_queue}
    one, two = ledger_of(tmp_path, "one"), ledger_of(tmp_path, "two")
    with monkeypatch.context() as unreadable:
        unreadable.setattr(pins, "READ_TIME", timedelta(0))
        async with serving(temporal, model, tmp_path, ledger=two, **settings) as worker:
            assert "pay may or may not have happened" in await asked(worker, handle.id)
    async with serving(temporal, model, tmp_path, ledger=one, **settings) as worker:
        word = Resolution(action="did_not_happen", by="otto", text="no trace of it")
        await worker.agents.resolve(handle.id, word)
        outcome = await ended(worker.client, handle.id)
    assert first.bank.paid == [PAID]
    assert [each.effect for each in outcome.tool_calls] == ["done"]


def without(gone: str) -> Callable[[pins._Search, str], AsyncIterator[HistoryEvent]]:
    """Reads histories, but for one that Temporal doesn't keep any more: it deletes them half a minute late."""
    read = pins._Search._events

    async def events(self: pins._Search, run_id: str) -> AsyncIterator[HistoryEvent]:
        if run_id == gone:
            raise RPCError("workflow not found", RPCStatusCode.NOT_FOUND, b"")
        async for event in read(self, run_id):
            yield event

    return events
