"""A run that is cancelled while it finds out what became of a write: it ends, and says no more than it knows."""

from pathlib import Path
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from agentflow import AgentOutcome
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.escalation import Resolution
from agentflow.contracts.names import CLOSE_EFFECT_ACTIVITY, RECONCILE_EFFECT_ACTIVITY
from agentflow.testing import ScriptedModel, call
from tests.workflow.agents import Banker
from tests.workflow.harness import Harness, eventually, serving
from tests.workflow.reused import PAYS, ended
from tests.workflow.slipping_agents import Slipping
from tests.workflow.slipping_tools import Slips
from tests.workflow.test_slipping import calling, emptying, has_failed, question_or_end, with_slips
from tests.workflow.unreachable import Unreachable, make_outages_short


@pytest.fixture(autouse=True)
def short_outages(monkeypatch: pytest.MonkeyPatch) -> None:
    make_outages_short(monkeypatch)


async def end_or_next_question(bank: Harness, handle: WorkflowHandle[Any, Any]) -> str:
    """How a run ended whose first question was answered, or why it asks again."""

    async def look() -> str | None:
        status = await bank.agents.status(handle.id)
        if status.outcome:
            return status.outcome
        question = status.escalation
        return question.reason if question and question.id != "escalation-1" else None

    return await eventually(look)


async def test_a_run_that_is_cancelled_while_a_write_is_looked_up_asks_nobody(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    ledger = Unreachable(tmp_path, "pay", RECONCILE_EFFECT_ACTIVITY)
    async with serving(temporal, ScriptedModel(PAYS), tmp_path, ledger=ledger) as bank:
        handle = await bank.start(Banker)
        await ledger.missed_by(RECONCILE_EFFECT_ACTIVITY)
        await handle.cancel()
        found = await question_or_end(bank, handle)
        if found != "cancelled":
            await handle.terminate()
    assert found == "cancelled"


async def test_a_run_that_is_cancelled_while_it_waits_to_look_a_write_up_says_that_it_is_unknown(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    slips, ledger = Slips(), SQLiteLedger(tmp_path / "effects.sqlite")
    async with with_slips(temporal, calling("pay_by_post"), tmp_path, slips, ledger=ledger) as bank:
        handle = await bank.start(Slipping)

        async def waits() -> bool | None:
            kinds = [event.event_type async for event in handle.fetch_history_events()]
            is_told = kinds.count(EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED) == 2
            return (is_told and EventType.EVENT_TYPE_TIMER_STARTED in kinds[-3:]) or None

        await eventually(waits)
        await handle.cancel()
        outcome = await ended(handle)
    assert slips.done == ["alice"]
    assert [one.effect for one in outcome.tool_calls] == ["unknown"]


async def test_a_run_that_is_cancelled_between_two_attempts_does_not_say_that_none_began(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    slips, ledger = Slips(), SQLiteLedger(tmp_path / "effects.sqlite")
    async with with_slips(temporal, calling("pay_and_fail"), tmp_path, slips, ledger=ledger) as bank:
        handle = await bank.start(Slipping)
        await has_failed(handle)
        emptying(tmp_path)()
        await handle.cancel()
        outcome: AgentOutcome[Any] = await ended(handle)
    assert slips.done == ["alice"]
    assert [one.effect for one in outcome.tool_calls] == ["unknown"]


async def test_a_run_that_is_cancelled_while_a_persons_word_is_recorded_asks_nobody_again(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    lines = [call("wire", account="alice", amount="10.00"), PAYS[1]]
    ledger = Unreachable(tmp_path, CLOSE_EFFECT_ACTIVITY)
    async with serving(temporal, ScriptedModel(lines), tmp_path, ledger=ledger) as bank:
        handle = await bank.start(Banker)
        await bank.escalation(handle)
        word = Resolution(action="did_not_happen", by="otto", text="no trace of it")
        await bank.agents.resolve(handle.id, word)
        await ledger.missed_by(CLOSE_EFFECT_ACTIVITY)
        await handle.cancel()
        found = await end_or_next_question(bank, handle)
        if found != "cancelled":
            await handle.terminate()
    assert found == "cancelled"
