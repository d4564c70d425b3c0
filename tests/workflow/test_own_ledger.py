"""One run, one ledger: a run's writes are recorded in the ledger that it began with, and in no other."""

import asyncio
import shutil
import sqlite3
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from agentflow import AgentOutcome, AgentTask
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.effects import EffectQuery
from agentflow.contracts.escalation import Resolution
from agentflow.contracts.ledger import Adoption
from agentflow.testing import ScriptedModel, answer, call
from agentflow.workflow.sealed_calls import ELSEWHERE
from tests.workflow.agents import Banker
from tests.workflow.harness import Harness, chain, replayed, serving
from tests.workflow.tools import Bank
from tests.workflow.unreachable import make_outages_short

SMALL, BIG = ("alice", "10.00"), ("alice", "600.00")
PAYS_TWICE = [
    call("pay", account="alice", amount="10.00"),
    call("pay", account="alice", amount="600.00"),  # asks a person first
    answer({"account": "alice", "amount": "600.00"}),
]


async def paid_once_and_waiting(
    temporal: WorkflowEnvironment, directory: Path, bank: Bank, model: ScriptedModel
) -> tuple[WorkflowHandle[Any, AgentOutcome[Any]], str, str]:
    """A run that has paid, and waits for the approval of its second payment; its approval, and its queue."""
    ledger = SQLiteLedger(directory / "effects.sqlite")
    async with serving(temporal, model, directory, ledger=ledger, bank=bank) as worker:
        handle = await worker.start(Banker)
        request = await worker.pending(handle)
    await ledger.close()
    return handle, request.id, worker.task_queue


async def approved(worker: Harness, handle: WorkflowHandle[Any, Any], approval: str) -> str:
    """Why a person is asked once the second payment is approved."""
    await worker.agents.approve(handle.id, approval, by="ann")  # type: ignore[arg-type]
    return (await worker.escalation(handle)).reason


async def left_alone(worker: Harness, handle: WorkflowHandle[Any, AgentOutcome[Any]]) -> AgentOutcome[Any]:
    """How the run ends after a person says to leave it."""
    await worker.agents.resolve(handle.id, Resolution(action="guide", by="otto", text="leave it"))
    async with asyncio.timeout(60):
        return await handle.result()


async def test_a_worker_with_another_ledger_makes_no_write_and_says_which_it_needs(
    temporal: WorkflowEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_outages_short(monkeypatch)
    bank, model = Bank(), ScriptedModel(PAYS_TWICE)
    handle, approval, queue = await paid_once_and_waiting(temporal, tmp_path, bank, model)
    other = SQLiteLedger(tmp_path / "other.sqlite")
    async with serving(temporal, model, tmp_path, ledger=other, bank=bank, queue=queue) as worker:
        reason = await approved(worker, handle, approval)
        made = await SQLiteLedger(tmp_path / "effects.sqlite").identity()
        assert f"the run's writes are recorded in {made.id}" in reason
        assert "did not happen (no attempt of it began)" in reason
        outcome = await left_alone(worker, handle)
        tries = [e.activity_task_scheduled_event_attributes async for e in handle.fetch_history_events()]
    assert bank.paid == [SMALL]
    assert [one.effect for one in outcome.tool_calls] == ["done", "failed"]
    # After the first refusal any worker of the queue has a chance, not just the one that has the run.
    payments = [one.activity_id for one in tries if one.activity_type.name == "pay"]
    assert [name.startswith(ELSEWHERE) for name in payments] == [False, False, True, True]
    for history in await chain(handle):
        await replayed(history)


async def test_a_run_goes_on_as_soon_as_its_own_ledger_is_back(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    bank, model = Bank(), ScriptedModel(PAYS_TWICE)
    handle, approval, queue = await paid_once_and_waiting(temporal, tmp_path, bank, model)
    own, aside = tmp_path / "effects.sqlite", tmp_path / "aside.sqlite"
    own.rename(aside)
    ledger = SQLiteLedger(own)
    async with serving(temporal, model, tmp_path, ledger=ledger, bank=bank, queue=queue) as worker:
        refused = asyncio.Event()
        identity = ledger.identity

        async def looked() -> Any:
            refused.set()
            return await identity()

        ledger.identity = looked  # type: ignore[method-assign]
        await worker.agents.approve(handle.id, approval, by="ann")  # type: ignore[arg-type]
        await refused.wait()
        aside.replace(own)
        async with asyncio.timeout(60):
            outcome = await handle.result()
    assert bank.paid == [SMALL, BIG]
    assert [one.effect for one in outcome.tool_calls] == ["done", "done"]


async def test_an_emptied_ledger_makes_no_write(
    temporal: WorkflowEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_outages_short(monkeypatch)
    bank, model = Bank(), ScriptedModel(PAYS_TWICE)
    handle, approval, queue = await paid_once_and_waiting(temporal, tmp_path, bank, model)
    with sqlite3.connect(tmp_path / "effects.sqlite") as connection:
        connection.execute("DELETE FROM agentflow_effects")
    emptied = SQLiteLedger(tmp_path / "effects.sqlite")
    async with serving(temporal, model, tmp_path, ledger=emptied, bank=bank, queue=queue) as worker:
        assert "was emptied, or is an older copy" in await approved(worker, handle, approval)
        await left_alone(worker, handle)
    assert bank.paid == [SMALL]


@pytest.mark.parametrize("lost", ["", "the last five minutes"])
async def test_a_restored_ledger_makes_no_write_before_it_is_adopted(
    temporal: WorkflowEnvironment, tmp_path: Path, lost: str
) -> None:
    bank, model = Bank(), ScriptedModel(PAYS_TWICE)
    handle, approval, queue = await paid_once_and_waiting(temporal, tmp_path, bank, model)
    shutil.copy(tmp_path / "effects.sqlite", tmp_path / "backup.sqlite")
    restored = SQLiteLedger(tmp_path / "backup.sqlite")
    await restored.adopt(Adoption(by="olga", lost=lost))
    async with serving(temporal, model, tmp_path, ledger=restored, bank=bank, queue=queue) as worker:
        await worker.agents.approve(handle.id, approval, by="ann")  # type: ignore[arg-type]
        if lost:
            # Approved a moment ago, it can't have been made; but nobody here can know that.
            effect = (await worker.escalation(handle)).effect
            assert effect is not None
            assert "there may be missing: the last five minutes" in effect.detail
            word = Resolution(action="did_not_happen", by="otto", text="not in the books")
            await worker.agents.resolve(handle.id, word)
        async with asyncio.timeout(60):
            outcome = await handle.result()
    assert outcome.tool_calls[1].effect == ("failed" if lost else "done")
    assert bank.paid == ([SMALL] if lost else [SMALL, BIG])


async def test_what_people_say_of_an_earlier_effect_is_recorded_in_the_runs_own_ledger(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    """The worker that hears them has another ledger: it records nothing, and the other worker does."""
    wires = [call("wire", account="bob", amount="9.00"), answer({"account": "bob", "amount": "9.00"})]
    bank, model, name = Bank(), ScriptedModel(wires), f"case-{uuid4()}"
    one, two = SQLiteLedger(tmp_path / "one.sqlite"), SQLiteLedger(tmp_path / "two.sqlite")
    asked = asyncio.Event()
    identity = two.identity

    async def looked() -> Any:
        asked.set()
        return await identity()

    async with serving(temporal, model, tmp_path, ledger=one, bank=bank) as worker:
        queue = worker.task_queue
        for _ in range(2):
            task: AgentTask[Any] = AgentTask(input="wire", requested_by="rita")
            handle = await worker.client.start_workflow(
                "Banker", task, id=name, task_queue=queue, result_type=AgentOutcome[Any]
            )
            effect = (await worker.escalation(handle)).effect
            assert effect is not None
            if effect.earlier is None:
                await handle.terminate()
        assert effect.earlier is not None
    async with serving(temporal, model, tmp_path, ledger=two, bank=bank, queue=queue) as worker:
        two.identity = looked  # type: ignore[method-assign]
        said = Resolution(action="count", by="otto", result="wired 9.00")
        await worker.agents.resolve(name, said)
        async with asyncio.timeout(30):
            await asked.wait()
    async with serving(temporal, model, tmp_path, ledger=one, bank=bank, queue=queue):
        async with asyncio.timeout(60):
            outcome = await handle.result()
    assert [each.effect for each in outcome.tool_calls] == ["counted"]
    assert bank.paid == [("bob", "9.00")]
    assert (await two.find(EffectQuery())).effects == ()
    (own,) = [found.record for found in (await one.find(EffectQuery())).effects if found.record.counts]
    assert (own.key, own.closed_by, own.counts) == (effect.key, "otto", effect.earlier.key)
