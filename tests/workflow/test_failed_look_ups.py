"""What a run says of a write that it could not look up, or only after a while."""

from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.testing import WorkflowEnvironment

from agentflow import Budget
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.escalation import Resolution
from agentflow.contracts.names import (
    CLOSE_EFFECT_ACTIVITY,
    IDENTIFY_LEDGER_ACTIVITY,
    RECONCILE_EFFECT_ACTIVITY,
)
from agentflow.testing import ScriptedModel, call
from agentflow.workflow import dispatch
from tests.workflow.agents import Banker, LongBanker
from tests.workflow.harness import chain, serving
from tests.workflow.reused import PAYS, asked, begun, ended
from tests.workflow.slipping_agents import Slipping
from tests.workflow.slipping_tools import Slips
from tests.workflow.test_slipping import calling, question_or_end, with_slips
from tests.workflow.unreachable import Unreachable, make_outages_short


@pytest.fixture(autouse=True)
def short_outages(monkeypatch: pytest.MonkeyPatch) -> None:
    make_outages_short(monkeypatch)


@pytest.fixture
def slips() -> Slips:
    return Slips()


async def test_an_outage_that_ends_while_a_call_is_looked_up_leaves_no_doubt_of_it(
    temporal: WorkflowEnvironment, tmp_path: Path, slips: Slips
) -> None:
    ledger = Unreachable(tmp_path, RECONCILE_EFFECT_ACTIVITY, attempts=1)
    ledger.away_for["pay_once"] = None
    async with with_slips(temporal, calling("pay_once"), tmp_path, slips, ledger=ledger) as bank:
        handle = await bank.start(Slipping)
        told = await bank.escalation(handle)
        await handle.terminate()
    assert RECONCILE_EFFECT_ACTIVITY in ledger.missed
    assert slips.done == []
    assert told.effect is None


async def test_a_tool_that_could_not_begin_is_in_no_doubt_though_it_was_looked_up_twice(
    temporal: WorkflowEnvironment, tmp_path: Path, slips: Slips
) -> None:
    ledger, model = (
        Unreachable(tmp_path, RECONCILE_EFFECT_ACTIVITY, attempts=1),
        calling("pay_at_the_counter"),
    )
    async with with_slips(temporal, model, tmp_path, slips, ledger=ledger) as bank:
        handle = await bank.start(Slipping)
        told = await bank.escalation(handle)
        await handle.terminate()
    assert RECONCILE_EFFECT_ACTIVITY in ledger.missed
    assert told.effect is None


async def test_a_run_that_only_continued_as_new_knows_without_its_ledger_that_a_call_was_not_begun(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    ledger = Unreachable(tmp_path, "pay", RECONCILE_EFFECT_ACTIVITY, IDENTIFY_LEDGER_ACTIVITY)
    lines = [*[call("balance", account="alice")] * 12, PAYS[0]]
    async with serving(temporal, ScriptedModel(lines), tmp_path, ledger=ledger) as bank:
        handle = await bank.start(LongBanker)
        told = await bank.escalation(handle)
        assert len(await chain(handle)) > 1
        await bank.client.get_workflow_handle(handle.id).terminate()
    assert told.effect is None
    assert "did not happen (no attempt of it began)" in told.reason


async def test_a_call_that_was_never_sent_is_in_no_doubt(
    temporal: WorkflowEnvironment, tmp_path: Path, slips: Slips, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody works on the tool's queue, so that nobody says which ledger its writes are recorded in."""
    monkeypatch.setattr(dispatch, "_POOL_WAIT", timedelta(seconds=1))
    ledger = SQLiteLedger(tmp_path / "effects.sqlite")
    async with with_slips(temporal, calling("pay_elsewhere"), tmp_path, slips, ledger=ledger) as bank:
        handle = await bank.start(Slipping)
        told = await bank.escalation(handle)
        await handle.terminate()
    assert told.effect is None


async def test_an_abort_while_the_ledger_is_away_leaves_no_doubt_of_a_call_that_was_not_begun(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    """A person was asked because of what an earlier run of the workflow id did."""
    ledger, name = Unreachable(tmp_path), f"case-{uuid4()}"
    async with serving(skipping, ScriptedModel(PAYS), tmp_path, ledger=ledger) as bank:
        await ended(await begun(bank, name))
        second = await begun(bank, name)
        await asked(bank, second)
        ledger.away_for = dict.fromkeys(("pay", RECONCILE_EFFECT_ACTIVITY, CLOSE_EFFECT_ACTIVITY))
        await bank.agents.resolve(name, Resolution(action="abort", by="otto"))
        outcome = await ended(second)
    assert [one.effect for one in outcome.tool_calls] == ["failed"]


async def test_a_run_whose_wall_time_is_over_while_it_looks_a_write_up_ends(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    ledger = Unreachable(tmp_path, "pay", RECONCILE_EFFECT_ACTIVITY)
    async with serving(temporal, ScriptedModel(PAYS), tmp_path, ledger=ledger) as bank:
        handle = await bank.start(Banker, budget=Budget(wall_time=timedelta(seconds=2)))
        found = await question_or_end(bank, handle)
        if found != "timed_out":
            await handle.terminate()
    assert RECONCILE_EFFECT_ACTIVITY in ledger.missed
    assert found == "timed_out"
