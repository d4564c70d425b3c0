"""What histories tell of the ledgers that a run was pinned to, over all that makes a chain of executions."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from agentflow import tools_of
from agentflow.activity.reconcile import Asker
from agentflow.adapters.history import pins
from agentflow.adapters.history.executions import Histories
from agentflow.adapters.history.pins import pin_before
from agentflow.contracts.names import IDENTIFY_LEDGER_ACTIVITY
from agentflow.core.seal import SealKeys
from agentflow.errors import LedgerError
from agentflow.testing import ScriptedModel, answer, call
from agentflow.testing.settings import TEST_SEAL_KEYS
from tests.workflow.agents import LongBanker
from tests.workflow.ferry import POOL, Ferry
from tests.workflow.harness import Harness, eventually, serving
from tests.workflow.outside_doors import pending_activity, reset_to
from tests.workflow.retried_agents import Sender
from tests.workflow.test_pins_of_chains import (
    FIRST_TASK,
    PAYS,
    begun,
    ended,
    ledger_of,
    needed,
    paid_with_one,
)

LOOKS = [call("balance", account="alice")] * 12


async def pin_of(
    worker: Harness, workflow_id: str, run_id: str, chain: str, *, queue: str | None = None, **options: Any
) -> str | None:
    keys = options.get("keys", TEST_SEAL_KEYS)
    asker = Asker(workflow_id, run_id, chain, queue or worker.task_queue)
    return await pin_before(worker.client, keys, asker)


async def asked_for_the_ferry(worker: Harness, handle: WorkflowHandle[Any, Any]) -> bool:
    """See that a run waits for the pool's ledger."""

    async def is_asked() -> bool | None:
        pending = (await handle.describe()).raw_description.pending_activities
        return [one.activity_type.name for one in pending] == [IDENTIFY_LEDGER_ACTIVITY] or None

    return await eventually(is_asked)


async def test_what_a_run_did_on_another_queue_between_two_resets_of_one_execution_is_found(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    """No history names the execution in between: it comes from the first one as the last one does."""
    ferry, model = Ferry(), ScriptedModel([])
    pool: dict[str, Any] = {"queue": POOL, "more_tools": tools_of(ferry)}
    one, two = ledger_of(tmp_path, "one"), ledger_of(tmp_path, "two")
    async with serving(temporal, model, tmp_path, workflows=[Sender]) as worker:
        handle = await begun(worker, "Sender")
        first = str(handle.first_execution_run_id)
        await asked_for_the_ferry(worker, handle)
        await reset_to(worker, handle.id, first, FIRST_TASK)
        async with serving(temporal, model, tmp_path, ledger=one, **pool):
            assert (await ended(worker.client, handle.id)).output == "sent pay"
        last = await reset_to(worker, handle.id, first, FIRST_TASK)
        await asked_for_the_ferry(worker, worker.client.get_workflow_handle(handle.id))
        assert await pin_of(worker, handle.id, last, first, queue=POOL) == (await one.identity()).id
        async with serving(temporal, model, tmp_path, ledger=two, **pool):
            await needed(worker, handle.id, one)
        await worker.client.get_workflow_handle(handle.id).terminate()
    assert ferry.sent == ["pay"]


async def test_an_answer_that_no_worker_gave_pins_nothing(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([]), tmp_path, workflows=[Sender]) as worker:
        handle = await begun(worker, "Sender")
        await asked_for_the_ferry(worker, handle)
        await (await pending_activity(worker, handle)).complete({"id": "of a stranger"})
        assert "somebody else completed it" in (await worker.escalation(handle)).reason
        first = str(handle.first_execution_run_id)
        last = await reset_to(worker, handle.id, first, FIRST_TASK)
        assert await pin_of(worker, handle.id, last, first, queue=POOL) is None
        await worker.client.get_workflow_handle(handle.id).terminate()


async def test_an_answer_under_a_key_that_was_taken_away_can_not_be_told(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    ferry, model, one = Ferry(), ScriptedModel([]), ledger_of(tmp_path, "one")
    pool: dict[str, Any] = {"queue": POOL, "more_tools": tools_of(ferry), "ledger": one}
    async with serving(temporal, model, tmp_path, workflows=[Sender]) as worker:
        async with serving(temporal, model, tmp_path, **pool):
            handle = await begun(worker, "Sender")
            await ended(worker.client, handle.id)
        first = str(handle.first_execution_run_id)
        last = await reset_to(worker, handle.id, first, FIRST_TASK)
        found = await pin_of(worker, handle.id, last, first, queue=POOL)
        assert found == (await one.identity()).id
        others = SealKeys("new", {"new": bytes(32)})
        with pytest.raises(LedgerError, match=r"no key test of its seal.*start another run"):
            await pin_of(worker, handle.id, last, first, queue=POOL, keys=others)
        await worker.client.get_workflow_handle(handle.id).terminate()


@pytest.mark.parametrize("bound", ["MAX_EVENTS", "MAX_BYTES"])
async def test_more_history_than_the_bounds_allow_is_no_answer(
    temporal: WorkflowEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    handle, worker = await paid_with_one(temporal, tmp_path, ScriptedModel(PAYS))
    first = str(handle.first_execution_run_id)
    last = await reset_to(worker, handle.id, first, FIRST_TASK)
    assert await pin_of(worker, handle.id, last, first) is not None
    monkeypatch.setattr(pins, bound, 3)
    with pytest.raises(LedgerError, match="there is more history to read"):
        await pin_of(worker, handle.id, last, first)
    await worker.client.get_workflow_handle(handle.id).terminate()


async def test_a_run_that_only_continues_as_new_knows_all_its_pins_without_its_first_histories(
    temporal: WorkflowEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = answer({"account": "alice", "amount": "5.00"})
    async with serving(temporal, ScriptedModel([*LOOKS, done]), tmp_path) as worker:
        handle = await worker.start(LongBanker)
        await handle.result()
        executions = await Histories(worker.client).of(handle.id)
        assert len(executions) > 2
        first, last = executions[0].run_id, executions[-1]
        # What is taken along has the pin of the run's own queue, and says that there is no other.
        assert await pin_of(worker, handle.id, last.run_id, first) is not None
        assert last.history
        monkeypatch.setattr(pins, "MAX_EVENTS", len(last.history.events))
        assert await pin_of(worker, handle.id, last.run_id, first, queue=POOL) is None


@pytest.mark.parametrize("which", [0, 1])
async def test_a_run_that_was_reset_before_it_continued_as_new_looks_further_back(
    temporal: WorkflowEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: int
) -> None:
    done = answer({"account": "alice", "amount": "5.00"})
    async with serving(temporal, ScriptedModel([*LOOKS, done]), tmp_path) as worker:
        handle = await worker.start(LongBanker)
        await handle.result()
        executions = await Histories(worker.client).of(handle.id)
        first = executions[0].run_id
        await reset_to(worker, handle.id, executions[which].run_id, FIRST_TASK)
        assert (await ended(worker.client, handle.id)).status == "completed"
        last = (await Histories(worker.client).of(handle.id))[-1]
        assert last.run_id not in {each.run_id for each in executions}
        assert await pin_of(worker, handle.id, last.run_id, first, queue=POOL) is None
        assert last.history
        monkeypatch.setattr(pins, "MAX_EVENTS", len(last.history.events))
        with pytest.raises(LedgerError, match="there is more history to read"):
            await pin_of(worker, handle.id, last.run_id, first, queue=POOL)


async def test_an_execution_of_a_cron_schedule_that_is_reset_takes_its_own_pin_and_not_the_one_befores(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model, name = ScriptedModel(PAYS), f"cron-{uuid4()}"
    one, two = ledger_of(tmp_path, "one"), ledger_of(tmp_path, "two")

    async def a_payment(worker: Harness) -> None:
        before = len(worker.bank.paid)

        async def is_made() -> bool | None:
            return len(worker.bank.paid) > before or None

        await eventually(is_made)

    async with serving(temporal, model, tmp_path, ledger=one) as worker:
        await worker.client.start_workflow(
            "Banker",
            {"input": "pay", "requested_by": "rita"},
            id=name,
            task_queue=worker.task_queue,
            cron_schedule="@every 1s",
        )
        await a_payment(worker)
    queue = worker.task_queue
    async with serving(temporal, model, tmp_path, ledger=two, queue=queue) as worker:
        # The one that the first worker left may have been pinned there.
        for _ in range(3):
            await a_payment(worker)
        running = await worker.client.get_workflow_handle(name).describe()
    execution = await eventually(lambda: _before(worker, name, running.run_id))
    last = await reset_to(worker, name, execution, FIRST_TASK)
    assert await pin_of(worker, name, last, execution) == (await two.identity()).id
    await worker.client.get_workflow_handle(name).terminate()


async def _before(worker: Harness, name: str, run_id: str) -> str | None:
    """The execution of a cron schedule before another one."""
    handle = worker.client.get_workflow_handle(name, run_id=run_id)
    async for event in handle.fetch_history_events():
        return event.workflow_execution_started_event_attributes.continued_execution_run_id
    return None
