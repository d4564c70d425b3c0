"""What a run says of a write that slipped from its hands: whether it began, and how often, is true."""

import asyncio
import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from temporalio import activity
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from agentflow import AgentOutcome, tools_of
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.escalation import Escalation, Resolution
from agentflow.errors import LedgerError
from agentflow.testing import MemoryLedger, ScriptedModel, answer, call
from tests.workflow.agents import Banker
from tests.workflow.harness import Harness, eventually, replayed, serving
from tests.workflow.slipping_agents import Slipping
from tests.workflow.slipping_tools import Slips
from tests.workflow.unreachable import make_outages_short


@pytest.fixture
def ledger(tmp_path: Path) -> SQLiteLedger:
    return SQLiteLedger(tmp_path / "effects.sqlite")


@pytest.fixture
def slips() -> Slips:
    return Slips()


def calling(name: str, account: str = "alice") -> ScriptedModel:
    return ScriptedModel([call(name, account=account), answer("paid")])


def with_slips(
    environment: WorkflowEnvironment, model: ScriptedModel, directory: Path, slips: Slips, **more: Any
) -> Any:
    more = {"workflows": [Slipping], "more_tools": tools_of(slips), **more}
    return serving(environment, model, directory, **more)


def emptying(directory: Path) -> Any:
    """Deletes all records of the ledger."""

    def emptied() -> None:
        with sqlite3.connect(directory / "effects.sqlite") as connection:
            connection.execute("DELETE FROM agentflow_effects")

    return emptied


async def question_or_end(bank: Harness, handle: WorkflowHandle[Any, Any]) -> Escalation | str:
    """What the run asks of people, or how it ended."""

    async def look() -> Escalation | str | None:
        if (told := await bank.agents.status(handle.id)).outcome:
            return told.outcome
        return told.escalation

    return await eventually(look)


async def has_failed(handle: WorkflowHandle[Any, Any]) -> None:
    """Come back once an attempt has failed and Temporal is about to try again."""

    async def look() -> bool | None:
        described = (await handle.describe()).raw_description
        return any(each.HasField("last_failure") for each in described.pending_activities) or None

    await eventually(look)


async def test_a_first_attempt_whose_time_was_over_may_have_acted_though_the_ledger_was_emptied(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger, slips: Slips
) -> None:
    slips.after_acting = emptying(tmp_path)
    model = calling("pay_in_time", "slow")
    async with with_slips(temporal, model, tmp_path, slips, ledger=ledger) as bank:
        handle = await bank.start(Slipping)
        told = await bank.escalation(handle)
        # The server's time-out and the attempt's own come at once: either may be what the run hears.
        assert told.effect is not None
        assert "may or may not have happened" in told.reason
        await handle.terminate()
    assert slips.done == ["slow"]


async def test_a_cancelled_run_whose_ledger_was_emptied_does_not_say_that_nothing_happened(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger, slips: Slips
) -> None:
    acted, empty = asyncio.Event(), emptying(tmp_path)
    slips.after_acting = lambda: (empty(), acted.set())[1]
    async with with_slips(temporal, calling("pay_slowly", "slow"), tmp_path, slips, ledger=ledger) as bank:
        handle = await bank.start(Slipping)
        await acted.wait()
        await handle.cancel()
        async with asyncio.timeout(60):
            outcome: AgentOutcome[Any] = await handle.result()
    assert [one.effect for one in outcome.tool_calls] == ["unknown"]


async def test_a_tool_that_always_hangs_is_called_no_more_often_than_workers_may_die(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger, slips: Slips
) -> None:
    async with with_slips(temporal, calling("pay_and_hang"), tmp_path, slips, ledger=ledger) as bank:
        handle = await bank.start(Slipping)
        told = await bank.escalation(handle)
        await handle.terminate()
    assert told.effect is not None
    assert told.effect.attempts == len(slips.done)
    assert len(slips.done) <= 2 + 5


async def test_people_are_told_of_each_attempt_that_may_have_called_the_tool(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger, slips: Slips
) -> None:
    async with with_slips(temporal, calling("pay_once"), tmp_path, slips, ledger=ledger) as bank:
        handle = await bank.start(Slipping)
        told = await bank.escalation(handle)
        await handle.terminate()
    assert slips.done == ["alice", "refused"]
    assert told.effect is not None
    assert told.effect.attempts == 2


class ServersClock(MemoryLedger):
    """A ledger whose clock is the server's, which skips time."""

    @property
    def now(self) -> datetime:
        return activity.info().started_time

    @now.setter
    def now(self, value: datetime) -> None: ...


async def test_an_effect_that_may_take_half_a_day_is_waited_for_and_nobody_is_asked(
    skipping: WorkflowEnvironment, tmp_path: Path, slips: Slips
) -> None:
    model, ledger = calling("pay_by_post"), ServersClock()
    async with with_slips(skipping, model, tmp_path, slips, ledger=ledger) as bank:
        handle = await bank.start(Slipping)
        outcome: AgentOutcome[Any] = await handle.result()
    assert slips.done == ["alice", "looked"]
    assert [one.effect for one in outcome.tool_calls] == ["done"]


async def test_a_worker_that_lacks_the_tool_leaves_the_call_to_another_one_and_no_doubt(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger, slips: Slips
) -> None:
    model = calling("pay_slowly")
    async with with_slips(temporal, model, tmp_path, slips, ledger=ledger, more_tools=[]) as bank:
        handle = await bank.start(Slipping)

        async def refused() -> bool | None:
            described = (await handle.describe()).raw_description
            failed = [each for each in described.pending_activities if each.HasField("last_failure")]
            events = [e.event_type async for e in handle.fetch_history_events()]
            return True if failed or EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED in events else None

        await eventually(refused)
    queue = bank.task_queue
    async with with_slips(temporal, model, tmp_path, slips, ledger=ledger, queue=queue) as bank:
        assert await question_or_end(bank, handle) == "completed"
    assert slips.done == ["alice"]


async def test_a_call_that_an_outage_kept_from_beginning_is_made_later_without_a_question(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_outages_short(monkeypatch)
    insert, get, is_down = ledger.insert, ledger.get, True

    async def inserted(record: Any) -> bool:
        answered = await insert(record)
        if is_down:
            raise LedgerError("its answer was lost")
        return answered

    async def got(key: Any) -> Any:
        if is_down:
            raise LedgerError("it can't be reached")
        return await get(key)

    ledger.insert, ledger.get = inserted, got  # type: ignore[method-assign]
    pays = call("pay", account="alice", amount="10.00")
    lines = iter([pays, pays, answer({"account": "alice", "amount": "10.00"})])
    async with serving(temporal, ScriptedModel(lambda _: next(lines)), tmp_path, ledger=ledger) as bank:
        handle = await bank.start(Banker)
        told = await bank.escalation(handle)
        assert "did not happen (no attempt of it began)" in told.reason
        is_down = False
        await bank.agents.resolve(handle.id, Resolution(action="guide", by="otto", text="try again"))
        async with asyncio.timeout(60):
            outcome = await handle.result()
        await replayed(await handle.fetch_history())
    assert [one.effect for one in outcome.tool_calls] == ["failed", "done"]
    assert len(bank.bank.paid) == 1


async def test_a_first_look_for_the_ledger_that_takes_all_of_a_calls_time_leaves_it_a_try(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger, slips: Slips
) -> None:
    identity, model = ledger.identity, calling("pay_in_time")
    looks = iter([LedgerError("it can't be reached"), asyncio.sleep(2.5)])

    async def slow() -> Any:
        look = next(looks, None)
        if isinstance(look, Exception):
            raise look
        if look is not None:
            await look
        return await identity()

    async with with_slips(temporal, model, tmp_path, slips, ledger=ledger) as bank:
        ledger.identity = slow  # type: ignore[method-assign]
        handle = await bank.start(Slipping)
        assert await question_or_end(bank, handle) == "completed"
    assert slips.done == ["alice"]


async def test_a_worker_that_shuts_down_before_a_call_began_leaves_no_question(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger, slips: Slips
) -> None:
    identity, looking, told = ledger.identity, asyncio.Event(), asyncio.Event()
    is_first = True

    async def slow() -> Any:
        nonlocal is_first
        if not is_first:  # the first look is the run's own, as it begins
            looking.set()
            await told.wait()
        is_first = False
        return await identity()

    model = calling("pay_slowly")
    async with with_slips(temporal, model, tmp_path, slips, ledger=ledger) as bank:
        ledger.identity = slow  # type: ignore[method-assign]
        handle = await bank.start(Slipping)
        await looking.wait()
        asyncio.get_running_loop().call_later(1, told.set)
    own, queue = SQLiteLedger(tmp_path / "effects.sqlite"), bank.task_queue
    async with with_slips(temporal, model, tmp_path, slips, ledger=own, queue=queue) as bank:
        assert await question_or_end(bank, handle) == "completed"
    assert slips.done == ["alice"]


async def test_an_attempt_that_a_worker_without_agentflow_answers_may_have_followed_one_that_acted(
    temporal: WorkflowEnvironment, tmp_path: Path, ledger: SQLiteLedger, slips: Slips
) -> None:
    model = calling("pay_and_fail")
    async with with_slips(temporal, model, tmp_path, slips, ledger=ledger) as bank:
        handle = await bank.start(Slipping)
        await has_failed(handle)
    emptying(tmp_path)()
    queue, plain = bank.task_queue, await temporal.connect_client()

    @activity.defn
    async def something_else() -> None: ...

    async with Worker(plain, task_queue=queue, activities=[something_else]):

        async def is_given_up() -> bool | None:
            described = (await handle.describe()).raw_description
            return not described.pending_activities or None

        await eventually(is_given_up)
    async with with_slips(temporal, model, tmp_path, slips, ledger=ledger, queue=queue) as bank:
        told = await bank.escalation(handle)
        await handle.terminate()
    assert slips.done == ["alice"]
    assert "did not happen" not in told.reason
