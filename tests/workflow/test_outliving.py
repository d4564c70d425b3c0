"""What outlives its attempt: no other attempt acts before it has ended, or a person has said what happened."""

import asyncio
from pathlib import Path

import pytest
from temporalio.testing import WorkflowEnvironment

from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.effects import EffectQuery, EffectRecord
from agentflow.contracts.escalation import Resolution
from agentflow.testing import ScriptedModel
from tests.workflow.blocking_agents import BlockingBank, Charger
from tests.workflow.harness import eventually, serving


@pytest.fixture
def ledger(tmp_path: Path) -> SQLiteLedger:
    return SQLiteLedger(tmp_path / "effects.sqlite")


async def record_of(ledger: SQLiteLedger) -> EffectRecord:
    (found,) = (await ledger.find(EffectQuery())).effects
    return found.record


async def outlived(ledger: SQLiteLedger, bank: BlockingBank) -> EffectRecord:
    """The record, once its attempt has ended; or once a second attempt has paid."""

    async def look() -> EffectRecord | None:
        found = (await ledger.find(EffectQuery())).effects
        is_over = found and ("still running" in found[0].record.detail or bank.charges > 1)
        return found[0].record if is_over else None

    return await eventually(look)


@pytest.mark.parametrize(
    ("tool", "runs"),
    [
        ("charge", "thread BlockingBank.charge_now"),
        ("charge_deaf", "the tool itself"),
        ("charge_apart", "task BlockingBank._in_spite_of_all"),
    ],
)
async def test_what_pays_after_its_time_is_over_pays_once(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger, tool: str, runs: str
) -> None:
    bank = BlockingBank()
    async with serving(
        temporal, ScriptedModel([]), tmp_path, ledger=ledger, bank=bank, workflows=[Charger]
    ) as desk:
        handle = await desk.start(Charger, tool)
        record = await outlived(ledger, bank)
        bank.goes_on.set()
        async with asyncio.timeout(60):
            outcome = await handle.result()
        assert bank.paid == [("alice", "10.00")]
        assert f"still running on worker {desk.client.identity}: {runs}" in record.detail
    assert (outcome.status, outcome.output) == ("completed", "charged alice")
    assert outcome.tool_calls[0].effect == "done"


async def test_a_person_is_asked_about_a_thread_that_never_ends_and_nobody_acts_on_their_word(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    bank = BlockingBank()
    async with serving(
        temporal, ScriptedModel([]), tmp_path, ledger=ledger, bank=bank, workflows=[Charger]
    ) as desk:
        handle = await desk.start(Charger, "charge_or_hang")
        effect = (await desk.escalation(handle)).effect
        assert effect is not None
        assert f"worker {desk.client.identity}: thread BlockingBank.charge_now" in effect.detail
        await desk.agents.resolve(handle.id, Resolution(action="did_not_happen", by="otto"))
        async with asyncio.timeout(60):
            outcome = await handle.result()
        closed = await record_of(ledger)
        assert (closed.state, closed.closed_by) == ("failed", "otto")
        assert bank.charges == 1
        bank.goes_on.set()
    assert outcome.tool_calls[0].effect == "failed"


async def test_a_worker_that_shuts_down_waits_for_what_still_runs(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    bank = BlockingBank()

    async def released_once_the_attempt_has_ended() -> None:
        await outlived(ledger, bank)
        bank.goes_on.set()

    async with serving(
        temporal, ScriptedModel([]), tmp_path, ledger=ledger, bank=bank, workflows=[Charger]
    ) as desk:
        handle = await desk.start(Charger, "charge")
        assert await asyncio.to_thread(bank.began.wait, 30)
        releasing = asyncio.create_task(released_once_the_attempt_has_ended())
    # The worker is gone.
    assert bank.ended.is_set()
    await releasing
    record = await record_of(ledger)
    assert "thread BlockingBank.charge_now returned" in record.detail
    assert record.lease == BlockingBank.charge.contract.options.max_effect_delay
    await handle.terminate()
