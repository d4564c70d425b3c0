"""The kill switch: what is frozen writes nothing, and the ledger decides it."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.testing import WorkflowEnvironment

from agentflow.adapters.freezes import Freezes, freezes_of
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.freeze import Freeze
from agentflow.testing import ScriptedModel, answer, call
from tests.workflow.agents import Banker, LongBanker
from tests.workflow.harness import chain, serving

DONE = answer({"account": "alice", "amount": "9.00"})
PAY = call("pay", account="alice", amount="9.00")
ASK = call("pay", account="alice", amount="600.00")
TENANT = "frosty"
FREEZE = Freeze(scope="tenant", name=TENANT, by="ops", reason="odd payments")
AT_ONCE = timedelta(0)
"""For tests that do not look at what a worker that was told nothing does within its second."""


@pytest.fixture
def ledger(tmp_path: Path) -> SQLiteLedger:
    """The one that ``serving`` gives its worker."""
    return SQLiteLedger(tmp_path / "ledger.sqlite")


@pytest.fixture
def freezes(temporal: WorkflowEnvironment, ledger: SQLiteLedger) -> Freezes:
    """The switch."""
    return freezes_of(temporal.client, ledger, settled_within=AT_ONCE)


async def test_a_run_at_work_writes_nothing_once_it_is_frozen(
    temporal: WorkflowEnvironment, freezes: Freezes, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([ASK, PAY, DONE]), tmp_path) as bank:
        handle = await bank.start(Banker, tenant=TENANT)
        request = await bank.pending(handle)
        told = await freezes.freeze(FREEZE)
        assert (told.key, told.changed, told.runs, told.problems) == (f"tenant:{TENANT}", True, 1, [])
        assert (await bank.agents.status(handle.id)).frozen == (f"tenant:{TENANT}",)
        await bank.agents.approve(handle.id, request.id, by="ann")
        outcome = await handle.result()
    assert bank.bank.paid == []
    assert [summary.rule for summary in outcome.tool_calls] == ["frozen", "frozen"]


async def test_after_the_freeze_the_rules_decide_again(
    temporal: WorkflowEnvironment, freezes: Freezes, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([ASK, PAY, DONE]), tmp_path) as bank:
        handle = await bank.start(Banker, tenant=TENANT)
        request = await bank.pending(handle)
        await freezes.freeze(FREEZE, sweeps=(0,))
        told = await freezes.unfreeze(FREEZE, sweeps=(0,))
        assert (told.changed, told.runs) == (True, 1)
        await bank.agents.approve(handle.id, request.id, by="ann")
        await handle.result()
        records = [r for r in await bank.agents.decisions(handle.id) if r.subject == "freeze"]
    assert bank.bank.paid == [("alice", "600.00"), ("alice", "9.00")]
    assert [(r.detail, r.by, r.accepted) for r in records] == [
        (f"freeze tenant:{TENANT}: odd payments", "ops", True),
        (f"unfreeze tenant:{TENANT}: odd payments", "ops", True),
    ]


async def test_a_run_that_is_started_under_a_freeze_begins_frozen(
    temporal: WorkflowEnvironment, freezes: Freezes, tmp_path: Path
) -> None:
    await freezes.freeze(FREEZE, sweeps=(0,))
    async with serving(temporal, ScriptedModel([PAY, DONE]), tmp_path) as bank:
        outcome = await bank.run(Banker, tenant=TENANT)
    assert bank.bank.paid == []
    assert outcome.tool_calls[0].rule == "frozen"


async def test_other_tenants_go_on(temporal: WorkflowEnvironment, freezes: Freezes, tmp_path: Path) -> None:
    await freezes.freeze(FREEZE, sweeps=(0,))
    async with serving(temporal, ScriptedModel([PAY, DONE]), tmp_path) as bank:
        await bank.run(Banker, tenant="sunny")
    assert bank.bank.paid == [("alice", "9.00")]


async def test_reads_go_on(temporal: WorkflowEnvironment, freezes: Freezes, tmp_path: Path) -> None:
    await freezes.freeze(FREEZE, sweeps=(0,))
    model = ScriptedModel([call("balance", account="alice"), DONE])
    async with serving(temporal, model, tmp_path) as bank:
        assert (await bank.run(Banker, tenant=TENANT)).status == "completed"
    assert bank.bank.looks == ["alice"]


async def test_a_freeze_holds_until_each_that_concerns_the_run_has_ended(
    temporal: WorkflowEnvironment, freezes: Freezes, tmp_path: Path
) -> None:
    agent = Freeze(scope="agent", name="Banker", by="ops")
    async with serving(temporal, ScriptedModel([ASK, DONE]), tmp_path) as bank:
        handle = await bank.start(Banker, tenant=TENANT)
        await bank.pending(handle)
        await freezes.freeze(FREEZE, sweeps=(0,))
        await freezes.freeze(agent, sweeps=(0,))
        await freezes.unfreeze(FREEZE, sweeps=(0,))
        assert (await bank.agents.status(handle.id)).frozen == ("agent:Banker",)
        await freezes.unfreeze(agent, sweeps=(0,))
        assert (await bank.agents.status(handle.id)).frozen == ()
        await handle.terminate()


async def test_freezing_twice_and_unfreezing_what_is_not_frozen_says_so(freezes: Freezes) -> None:
    assert (await freezes.freeze(FREEZE, sweeps=(0,))).changed
    assert not (await freezes.freeze(FREEZE, sweeps=(0,))).changed
    assert (await freezes.unfreeze(FREEZE, sweeps=(0,))).changed
    assert not (await freezes.unfreeze(FREEZE, sweeps=(0,))).changed


async def test_what_is_frozen_can_be_listed(freezes: Freezes) -> None:
    await freezes.freeze(FREEZE, sweeps=(0,))
    (held,) = await freezes.holding()
    assert (held.key, held.by, held.reason) == (f"tenant:{TENANT}", "ops", "odd payments")
    await freezes.unfreeze(FREEZE, sweeps=(0,))
    assert await freezes.holding() == []


async def test_a_freeze_goes_along_when_the_run_continues_as_new(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    looks = [call("balance", account="alice")] * 12
    model = ScriptedModel([ASK, *looks, PAY, DONE])
    async with serving(temporal, model, tmp_path) as bank:
        handle = await bank.start(LongBanker, tenant=TENANT)
        request = await bank.pending(handle)
        # By signal alone: the new execution asks the server too, and that isn't what is looked at here.
        await handle.signal("freeze", FREEZE)
        await bank.agents.reject(handle.id, request.id, by="ann")
        outcome = await handle.result()
        executions = len(await chain(handle))
    assert executions > 1
    assert bank.bank.paid == []
    assert outcome.tool_calls[-1].rule == "frozen"


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        ({"scope": "world", "by": "ops"}, "malformed"),
        ({"scope": "fleet", "name": "x", "by": "ops"}, "none for the fleet"),
        ({"scope": "tenant", "by": "ops"}, "give a name"),
        ({"scope": "fleet"}, "by"),
        ("freeze!", "malformed"),
        ({"scope": "tenant", "name": "sunny", "by": "ops"}, "this run is Banker of frosty"),
    ],
)
async def test_a_freeze_that_is_malformed_or_for_others_is_recorded_and_changes_nothing(
    temporal: WorkflowEnvironment, tmp_path: Path, payload: object, why: str
) -> None:
    async with serving(temporal, ScriptedModel([ASK, DONE]), tmp_path) as bank:
        handle = await bank.start(Banker, tenant=TENANT)
        await bank.pending(handle)
        await handle.signal("freeze", payload)
        refusal = (await bank.refusals(handle))[-1]
        assert refusal.startswith("freeze")
        assert why in refusal
        assert (await bank.agents.status(handle.id)).frozen == ()
        await handle.terminate()


async def test_many_runs_are_frozen_at_once(
    temporal: WorkflowEnvironment, freezes: Freezes, tmp_path: Path
) -> None:
    runs = 10
    async with serving(temporal, ScriptedModel([ASK, DONE]), tmp_path) as bank:
        handles = await asyncio.gather(
            *(bank.start(Banker, f"run {number}", tenant=TENANT) for number in range(runs))
        )
        await asyncio.gather(*(bank.pending(handle) for handle in handles))
        assert (await freezes.freeze(FREEZE)).runs == runs
        found = await asyncio.gather(*(bank.agents.status(handle.id) for handle in handles))
        assert {status.frozen for status in found} == {(f"tenant:{TENANT}",)}
        await asyncio.gather(*(handle.terminate() for handle in handles))
