"""A write that was allowed is not made once it is forbidden, whatever its run has heard: the ledger decides."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from agentflow import AgentOutcome
from agentflow.adapters.broadcast import Told
from agentflow.adapters.freezes import Freezes, Frozen, freezes_of
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.effects import EffectQuery, EffectRecord
from agentflow.contracts.escalation import Resolution
from agentflow.contracts.freeze import Freeze
from agentflow.contracts.stops import CACHED_FOR
from agentflow.errors import LedgerError
from agentflow.testing import ScriptedModel, answer, call, scripted_plugin
from tests.workflow.agents import Banker
from tests.workflow.harness import ALL_AGENTS, Harness, eventually, serving
from tests.workflow.stepping_agents import Remitter

DONE = answer({"account": "alice", "amount": "9.00"})
PAY = call("pay", account="alice", amount="9.00")
ASK = call("pay", account="alice", amount="600.00")
TENANT = "frosty"
FREEZE = Freeze(scope="tenant", name=TENANT, by="ops", reason="odd payments")
HEARD = CACHED_FOR + timedelta(milliseconds=100)
"""Time in which a worker on this machine hears of a stop."""
WORKFLOWS_ONLY: dict[str, Any] = {
    "no_remote_activities": True,
    "sticky_queue_schedule_to_start_timeout": timedelta(seconds=1),
}


@pytest.fixture
def ledger(tmp_path: Path) -> SQLiteLedger:
    return SQLiteLedger(tmp_path / "effects.sqlite")


@pytest.fixture
def freezes(temporal: WorkflowEnvironment, ledger: SQLiteLedger) -> Freezes:
    return freezes_of(temporal.client, ledger, settled_within=HEARD)


async def asked_and_ended(bank: Harness, handle: WorkflowHandle[Any, Any]) -> tuple[str, AgentOutcome[Any]]:
    """What a person is asked, who then lets the run go on, and how it ends."""
    escalation = await bank.escalation(handle)
    await bank.agents.resolve(handle.id, Resolution(action="guide", by="otto", text="leave it"))
    async with asyncio.timeout(60):
        return escalation.reason, await handle.result()


async def the_record(ledger: SQLiteLedger) -> EffectRecord:
    (found,) = (await ledger.find(EffectQuery())).effects
    return found.record


async def test_a_write_that_was_approved_and_scheduled_before_a_freeze_is_not_made(
    temporal: WorkflowEnvironment, freezes: Freezes, ledger: SQLiteLedger, tmp_path: Path
) -> None:
    model, queue = ScriptedModel([ASK, DONE]), "scheduled-before-a-freeze"
    async with serving(temporal, model, tmp_path, ledger=ledger, queue=queue) as bank:
        handle = await bank.start(Banker, tenant=TENANT)
        request = await bank.pending(handle)
    plugin = scripted_plugin(model, ledger=ledger)
    client = await temporal.connect_client(plugins=[plugin])
    async with Worker(client, task_queue=queue, workflows=ALL_AGENTS, **WORKFLOWS_ONLY):
        await bank.agents.approve(handle.id, request.id, by="ann")

        async def scheduled() -> bool | None:
            described = await handle.describe()
            return (
                any(each.activity_type.name == "pay" for each in described.raw_description.pending_activities)
                or None
            )

        await eventually(scheduled)
    # Nobody is there: not for the activity, and not for the run.
    await freezes.freeze(FREEZE, sweeps=(0,))
    async with serving(temporal, model, tmp_path, ledger=ledger, queue=queue) as bank:
        reason, outcome = await asked_and_ended(bank, handle)
    assert bank.bank.paid == []
    assert "pay is forbidden now, and did not happen" in reason
    assert f"tenant:{TENANT} (by ops" in reason
    assert outcome.tool_calls[0].effect == "failed"


@pytest.mark.parametrize("hears", [True, False])
async def test_a_run_that_visibility_does_not_show_writes_nothing_either(
    temporal: WorkflowEnvironment, freezes: Freezes, ledger: SQLiteLedger, tmp_path: Path, hears: bool
) -> None:
    model = ScriptedModel([ASK, DONE])
    shown = "require" if hears else "off"
    async with serving(temporal, model, tmp_path, ledger=ledger, search_attributes=shown) as bank:
        handle = await bank.start(Banker, tenant=TENANT)
        request = await bank.pending(handle)
        found = await freezes.freeze(FREEZE)
        assert (found.changed, found.runs, found.is_final) == (True, int(hears), True)
        await bank.agents.approve(handle.id, request.id, by="ann")
        if not hears:
            reason, _ = await asked_and_ended(bank, handle)
            assert "odd payments" in reason
        await handle.result()
        records = [r for r in await bank.agents.decisions(handle.id) if r.tool and not r.accepted]
    assert bank.bank.paid == []
    assert records[-1].rule == ("frozen" if hears else "forbidden_now")


async def test_an_unfreeze_signal_that_anybody_sends_lets_nothing_be_written(
    temporal: WorkflowEnvironment, freezes: Freezes, ledger: SQLiteLedger, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([ASK, DONE]), tmp_path, ledger=ledger) as bank:
        handle = await bank.start(Banker, tenant=TENANT)
        request = await bank.pending(handle)
        await freezes.freeze(FREEZE)
        await handle.signal("unfreeze", FREEZE)
        assert (await bank.agents.status(handle.id)).frozen == ()
        await bank.agents.approve(handle.id, request.id, by="ann")
        reason, _ = await asked_and_ended(bank, handle)
        last = [r for r in await bank.agents.decisions(handle.id) if r.tool][-1]
    assert "is forbidden now" in reason
    assert (last.subject, last.accepted, last.verdict, last.rule) == (
        "tool_call",
        False,
        "deny",
        "forbidden_now",
    )
    assert "odd payments" in last.detail
    assert bank.bank.paid == []
    record = await the_record(ledger)
    assert (record.state, record.detail) == ("failed", "no attempt of it began")
    assert (record.agent, record.tenant) == ("Banker", TENANT)


async def test_whatever_is_ended_in_temporal_the_freeze_holds(
    temporal: WorkflowEnvironment, freezes: Freezes, ledger: SQLiteLedger, tmp_path: Path
) -> None:
    await freezes.freeze(FREEZE, sweeps=(0,))
    async for execution in temporal.client.list_workflows("WorkflowId STARTS_WITH 'agentflow-freeze'"):
        await temporal.client.get_workflow_handle(execution.id).terminate()
    async with serving(temporal, ScriptedModel([PAY, DONE]), tmp_path, ledger=ledger) as bank:
        outcome = await bank.run(Banker, tenant=TENANT)
    assert bank.bank.paid == []
    assert outcome.tool_calls[0].rule == "frozen"


class FreezesMeanwhile(SQLiteLedger):
    """A freeze comes between a write's first attempt and its second."""

    async def replace(self, record: EffectRecord, *, version: int) -> bool:
        done = await super().replace(record, version=version)
        if "attempt 1:" in record.detail and await self.stop("default", "fleet", by="ops", reason="odd"):
            await asyncio.sleep(HEARD.total_seconds())
        return done


async def test_a_retry_of_a_failing_write_is_not_made_after_a_freeze(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    ledger = FreezesMeanwhile(tmp_path / "effects.sqlite")
    async with serving(temporal, ScriptedModel([PAY, DONE]), tmp_path, ledger=ledger) as bank:
        bank.bank.failures.append(ConnectionError("cut"))
        handle = await bank.start(Banker)
        escalation = await bank.escalation(handle)
        # The first attempt may have had its effect: that is what the person is asked, and why it was left at that.
        assert escalation.effect is not None
        assert "attempt 1: ConnectionError: cut" in escalation.reason
        assert (
            "attempt 2: it did nothing (ForbiddenNowError: writes are frozen for fleet" in escalation.reason
        )
        await bank.agents.resolve(handle.id, Resolution(action="did_not_happen", by="otto"))
        outcome = await handle.result()
    assert bank.bank.paid == []
    assert outcome.tool_calls[0].effect == "failed"


async def test_once_it_is_lifted_the_next_call_is_made(
    temporal: WorkflowEnvironment, freezes: Freezes, ledger: SQLiteLedger, tmp_path: Path
) -> None:
    model = ScriptedModel([ASK, PAY, DONE])
    async with serving(temporal, model, tmp_path, ledger=ledger, search_attributes="off") as bank:
        handle = await bank.start(Banker, tenant=TENANT)
        request = await bank.pending(handle)
        await freezes.freeze(FREEZE, sweeps=(0,))
        await bank.agents.approve(handle.id, request.id, by="ann")
        await bank.escalation(handle)
        assert (await freezes.unfreeze(FREEZE, sweeps=(0,))).changed
        await asyncio.sleep(HEARD.total_seconds())
        await asked_and_ended(bank, handle)
    assert bank.bank.paid == [("alice", "9.00")]


# ---------------------------------------------------------------- what the command knows


async def test_a_write_under_way_is_named_with_when_it_can_have_no_effect_any_more(
    temporal: WorkflowEnvironment, freezes: Freezes, ledger: SQLiteLedger, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([]), tmp_path, ledger=ledger) as bank:
        handle = await bank.start(Remitter, "remit held", tenant=TENANT)
        await bank.bank.blocked.wait()
        found = await freezes.freeze(FREEZE, sweeps=(0,), wait=timedelta(0))
        assert not found.is_final
        (write,) = found.writes
        assert (write.tool, write.workflow_id, write.state) == ("remit", handle.id, "under way")
        assert write.until is not None
        waiting = asyncio.ensure_future(freezes.freeze(FREEZE, sweeps=(0,)))
        await asyncio.sleep(2 * HEARD.total_seconds())
        assert not waiting.done()
        bank.bank.released.set()
        found = await waiting
        await handle.result()
    assert found.is_final
    assert [(write.tool, write.state, write.until) for write in found.writes] == [("remit", "done", None)]


async def test_a_write_of_others_is_not_waited_for(
    temporal: WorkflowEnvironment, freezes: Freezes, ledger: SQLiteLedger, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([]), tmp_path, ledger=ledger) as bank:
        handle = await bank.start(Remitter, "remit held", tenant="sunny")
        await bank.bank.blocked.wait()
        assert (await freezes.freeze(FREEZE, sweeps=(0,))).writes == []
        agent = Freeze(scope="agent", name="Remitter", by="ops")
        assert len((await freezes.freeze(agent, sweeps=(0,), wait=timedelta(0))).writes) == 1
        bank.bank.released.set()
        await handle.result()


async def test_a_freeze_holds_though_temporal_is_out_of_reach(ledger: SQLiteLedger) -> None:
    async def fails() -> Any:
        raise ConnectionError("no route to Temporal")

    freezes = Freezes(ledger, "default", fails, settled_within=timedelta(0))
    found = await freezes.freeze(FREEZE)
    assert (found.changed, found.runs, found.is_final) == (True, 0, True)
    assert found.problems == ["the runs could not be looked up: no route to Temporal"]
    assert [stop.key for stop in await ledger.stops("default")] == [f"tenant:{TENANT}"]


class Unreadable(SQLiteLedger):
    async def find(self, *_: Any, **__: Any) -> Any:
        raise LedgerError("the ledger can't be listed")


async def test_a_ledger_that_can_not_be_listed_is_no_all_clear(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    ledger = Unreadable(tmp_path / "effects.sqlite")
    freezes = freezes_of(temporal.client, ledger, settled_within=timedelta(0))
    found: Frozen | Told = await freezes.freeze(FREEZE, sweeps=(0,), wait=timedelta(0))
    assert isinstance(found, Frozen)
    assert not found.is_final
    assert "can't be listed" in found.unread
