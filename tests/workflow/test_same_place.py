"""Calls that come to stand in one place of a run: of what stands there already, a person is asked first."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle
from temporalio.common import RetryPolicy
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from agentflow import AgentOutcome, ToolUnavailableError
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.effects import EffectRecord
from agentflow.contracts.escalation import Escalation, Resolution
from agentflow.contracts.names import RECONCILE_EFFECT_ACTIVITY
from agentflow.testing import ScriptedModel, answer, call
from tests.workflow.harness import Harness, eventually, replayed, serving
from tests.workflow.outside_doors import reset_to
from tests.workflow.retried_agents import Strayer
from tests.workflow.reused import PAID, PAYS, asked, begun, ended, in_turn
from tests.workflow.slipping_agents import Slipping
from tests.workflow.slipping_tools import Slips
from tests.workflow.stepping_agents import Twofold
from tests.workflow.test_resets import ALICE, BOB, DONE, PAYS_ALICE, PAYS_BOB, reset_again, was_reset
from tests.workflow.test_slipping import calling, question_or_end, with_slips
from tests.workflow.unreachable import Unreachable, make_outages_short

FIRST_TASK = 4
THRICE = RetryPolicy(initial_interval=timedelta(milliseconds=10), maximum_attempts=3)


@pytest.fixture
def ledger(tmp_path: Path) -> SQLiteLedger:
    return SQLiteLedger(tmp_path / "effects.sqlite")


class Rendezvous(SQLiteLedger):
    """Looks for earlier effects once two calls have begun."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._begun = 0
        self._both = asyncio.Event()

    async def insert(self, record: EffectRecord) -> bool:
        inserted = await super().insert(record)
        self._begun += 1
        if self._begun == 2:
            self._both.set()
        return inserted

    async def of_work(self, work: Any) -> Any:
        async with asyncio.timeout(30):
            await self._both.wait()
        return await super().of_work(work)


async def test_two_payments_that_a_run_makes_at_once_do_not_stand_in_each_others_way(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    ledger = Rendezvous(tmp_path / "effects.sqlite")
    async with serving(temporal, ScriptedModel([]), tmp_path, ledger=ledger) as bank:
        handle = await bank.start(Twofold)
        assert await question_or_end(bank, handle) == "completed"
    assert bank.bank.paid == [PAID, PAID]


async def test_a_third_try_by_temporal_asks_before_it_pays_in_the_place_of_what_the_second_paid(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    async with serving(temporal, ScriptedModel([]), tmp_path, ledger=ledger, workflows=[Strayer]) as bank:
        handle = await begun(bank, f"case-{uuid4()}", "Strayer", retry_policy=THRICE)

        async def asks() -> str | None:
            try:
                question = (await bank.agents.status(handle.id)).escalation
            except RPCError:  # between two tries nobody answers
                return None
            return question.reason if question else None

        reason = await eventually(asks)
        await bank.client.get_workflow_handle(handle.id).terminate()
    assert bank.bank.paid == [BOB]
    assert "an earlier execution of this run did another pay in this place" in reason


async def test_a_reset_run_asks_before_it_pays_in_the_place_of_an_effect_that_was_counted(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    name = f"case-{uuid4()}"
    async with serving(temporal, in_turn(*PAYS, *PAYS, PAYS_BOB), tmp_path, ledger=ledger) as bank:
        await ended(await begun(bank, name))
        second = await begun(bank, name)
        await asked(bank, second)
        await bank.agents.resolve(name, Resolution(action="count", by="otto"))
        assert (await ended(second)).tool_calls[0].effect == "counted"
        await reset_to(bank, name, str(second.first_execution_run_id), FIRST_TASK)
        again = bank.client.get_workflow_handle(name)
        assert not isinstance(await question_or_end(bank, again), str)
        await again.terminate()
    assert bank.bank.paid == [PAID]


async def test_a_person_can_answer_for_a_call_whose_place_is_taken(
    temporal: WorkflowEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_outages_short(monkeypatch)
    ledger, lines = Unreachable(tmp_path), (PAYS_ALICE, DONE, PAYS_BOB, DONE)

    def goes_away() -> None:
        ledger.away_for = dict.fromkeys(("pay", RECONCILE_EFFECT_ACTIVITY))

    async with was_reset(temporal, tmp_path, ledger, *lines, meanwhile=goes_away) as (bank, handle):
        assert (await bank.escalation(handle)).effect is not None
        ledger.away_for.clear()
        word = Resolution(action="did_not_happen", by="otto", text="no trace of it")
        await bank.agents.resolve(handle.id, word)
        outcome = await ended(handle)
    assert outcome.status == "completed"
    assert [one.effect for one in outcome.tool_calls] == ["failed"]
    assert bank.bank.paid == [ALICE]


class Hesitant(SQLiteLedger):
    """Does not come to let a second attempt take a record over, until it is let go on."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.hesitates = asyncio.Event()
        self.goes_on = asyncio.Event()

    async def replace(self, record: EffectRecord, *, version: int) -> bool:
        if (record.state, record.attempts, version) == ("intended", 1, 3) and not self.hesitates.is_set():
            self.hesitates.set()
            await self.goes_on.wait()
        return await super().replace(record, version=version)


async def test_a_reset_run_asks_before_it_pays_in_the_place_of_a_call_that_an_attempt_is_about_to_make(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    ledger = Hesitant(tmp_path / "effects.sqlite")
    async with serving(temporal, in_turn(PAYS_ALICE, PAYS_BOB, DONE), tmp_path, ledger=ledger) as bank:
        bank.bank.failures.append(ToolUnavailableError("busy line"))
        handle = await begun(bank, f"case-{uuid4()}")
        async with asyncio.timeout(30):
            await ledger.hesitates.wait()
        await reset_to(bank, handle.id, str(handle.first_execution_run_id), FIRST_TASK)
        again = bank.client.get_workflow_handle(handle.id)
        assert not isinstance(await question_or_end(bank, again), str)
        await again.terminate()
        ledger.goes_on.set()
    assert BOB not in bank.bank.paid


async def test_a_run_that_was_reset_twice_does_not_say_of_a_payment_under_way_that_it_failed(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    held = call("pay_when_released", account="held")
    model = in_turn(call("pay_when_released", account="alice"), answer("paid"), held, held)
    slips = Slips()
    async with with_slips(temporal, model, tmp_path, slips, ledger=ledger) as bank:
        first = await bank.start(Slipping)
        await ended(first)
        slips.acted.clear()
        await reset_again(bank, first)
        handle = bank.client.get_workflow_handle(first.id, result_type=AgentOutcome[Any])
        await asked(bank, handle)
        await bank.agents.resolve(handle.id, Resolution(action="again", by="otto"))
        async with asyncio.timeout(30):
            await slips.acted.wait()
        await reset_again(bank, handle)
        await bank.escalation(handle)
        await bank.agents.resolve(handle.id, Resolution(action="abort", by="otto"))
        outcome = await ended(handle)
        slips.released.set()
    assert slips.done == ["alice", "held"]
    assert [one.effect for one in outcome.tool_calls] != ["failed"]


async def test_a_reset_in_the_middle_of_a_doubt_asks_of_the_place_and_then_of_its_own_call(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    wires = [call("wire", account=account, amount="10.00") for account in ("alice", "bob")]
    async with serving(temporal, in_turn(*wires), tmp_path, ledger=ledger) as bank:
        first = await begun(bank, f"case-{uuid4()}")
        await bank.escalation(first)
        await reset_again(bank, first)
        handle = bank.client.get_workflow_handle(first.id)
        effect = await asked(bank, handle)
        assert "may have done another wire in this place" in effect.detail
        await bank.agents.resolve(handle.id, Resolution(action="again", by="otto"))

        async def asks_again() -> str | None:
            question = (await bank.agents.status(handle.id)).escalation
            return question.reason if question and question.id != "escalation-1" else None

        assert "wire may or may not have happened" in await eventually(asks_again)
        await replayed(await handle.fetch_history())
        await handle.terminate()
    assert bank.bank.paid == [ALICE, BOB]


async def task_before(handle: WorkflowHandle[Any, Any], tool: str) -> int:
    """The end of the workflow task that scheduled a tool's activity."""
    async for event in handle.fetch_history_events():
        scheduled = event.activity_task_scheduled_event_attributes
        if scheduled.activity_type.name == tool:
            return scheduled.workflow_task_completed_event_id
    raise AssertionError(f"{tool} was not scheduled")


async def reset_while_paying(bank: Harness, slips: Slips, *, to_call: bool) -> WorkflowHandle[Any, Any]:
    """A run that was reset while its tool acts, to its beginning or to where it called the tool."""
    first = await begun(bank, f"case-{uuid4()}", "Slipping")
    async with asyncio.timeout(30):
        await slips.acted.wait()
    to = await task_before(first, "pay_when_released") if to_call else FIRST_TASK
    await reset_to(bank, first.id, str(first.first_execution_run_id), to)
    return bank.client.get_workflow_handle(first.id, result_type=AgentOutcome[Any])


@pytest.mark.parametrize("to_call", [False, True])
async def test_a_run_that_is_reset_while_its_payment_is_under_way_pays_once(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger, to_call: bool
) -> None:
    slips, model = Slips(), calling("pay_when_released", "held")
    async with with_slips(temporal, model, tmp_path, slips, ledger=ledger) as bank:
        handle = await reset_while_paying(bank, slips, to_call=to_call)

        async def is_kept_waiting() -> bool | None:
            kinds = [event.event_type async for event in handle.fetch_history_events()]
            return EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED in kinds or None

        await eventually(is_kept_waiting)
        slips.released.set()
        outcome = await ended(handle)
        await replayed(await handle.fetch_history(), Slipping)
    assert slips.done == ["held"]
    assert [one.effect for one in outcome.tool_calls] == ["done"]


async def test_a_run_that_is_reset_while_its_payment_is_under_way_asks_before_it_pays_another_account(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger
) -> None:
    slips = Slips()
    model = in_turn(*(call("pay_when_released", account=account) for account in ("held", "bob")))
    async with with_slips(temporal, model, tmp_path, slips, ledger=ledger) as bank:
        handle = await reset_while_paying(bank, slips, to_call=False)
        found = await question_or_end(bank, handle)
        assert isinstance(found, Escalation)
        await handle.terminate()
        slips.released.set()
    assert slips.done == ["held"]
