"""What outlives its attempt, attempt by attempt: who may act, what is recorded, and what a person may say."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from agentflow import DidNotHappen, Happened, ToolContext, ToolOptions, run_blocking, tool
from agentflow.activity.execution import tool_activity
from agentflow.activity.ledger_calls import LedgerCalls
from agentflow.activity.outliving import Keepers
from agentflow.activity.running import Running, apart, tasks_known
from agentflow.activity.tool import Tool
from agentflow.adapters.memory_blobs import MemoryBlobStore
from agentflow.contracts.effects import EffectRecord
from agentflow.contracts.names import EFFECT_UNKNOWN_ERROR
from agentflow.core.effects import is_outlived
from agentflow.errors import ToolError, ToolUnavailableError
from agentflow.testing import MemoryLedger
from agentflow.testing.settings import TEST_SEAL_KEYS
from tests.activity.attempts import asked, record_of
from tests.activity.outside import DELAY, Bank, carried_out, environment, failure, invocation_of

OPTIONS = ToolOptions(max_effect_delay=DELAY)


@dataclass
class ThreadedBank:
    """A bank whose client blocks until it is let go on."""

    goes_on: threading.Event = field(default_factory=threading.Event)
    began: threading.Event = field(default_factory=threading.Event)
    payments: list[str] = field(default_factory=list[str])
    error: Exception | None = None
    """Raised by the tool while its thread still runs."""
    tokens: list[int] = field(default_factory=list[int])

    def send(self, to: str) -> str:
        self.began.set()
        self.goes_on.wait(30)
        self.payments.append(to)
        return f"paid {to}"

    async def sent(self, to: str, context: ToolContext) -> str:
        self.tokens.append(context.fencing_token)
        sending = asyncio.ensure_future(run_blocking(self.send, to))
        if self.error:
            await asyncio.to_thread(self.began.wait, 30)
            sending.cancel()
            raise self.error
        return await sending

    @tool(effect="write", options=OPTIONS)
    async def pay(self, to: str, context: ToolContext) -> str:
        """Pay somebody."""
        return await self.sent(to, context)

    @tool(effect="write", recovery="probe", options=OPTIONS)
    async def pay_and_find(self, to: str, context: ToolContext) -> str:
        """Pay somebody, at a bank that can be asked."""
        return await self.sent(to, context)

    @pay_and_find.probe
    async def find(self, to: str, context: ToolContext) -> Happened[str] | DidNotHappen:
        self.tokens.append(context.fencing_token)
        return Happened(f"paid {to}") if to in self.payments else DidNotHappen()


@pytest.fixture
def threaded() -> Iterator[ThreadedBank]:
    bank = ThreadedBank()
    yield bank
    bank.goes_on.set()


@pytest.fixture
async def known() -> AsyncIterator[None]:
    """Tasks are known, as they are while a worker runs."""
    with tasks_known():
        yield


async def cut_short(
    pay: Tool[..., Any], memory: MemoryLedger, keepers: Keepers, milliseconds: int = 50
) -> ApplicationError:
    """An attempt whose time is over before its tool comes back."""
    surroundings = environment()
    limit = timedelta(milliseconds=milliseconds)
    surroundings.info = replace(surroundings.info, start_to_close_timeout=limit)
    run = tool_activity(pay, LedgerCalls(memory, TEST_SEAL_KEYS), MemoryBlobStore(), keepers=keepers)
    with pytest.raises(ApplicationError) as failed:
        await surroundings.run(run, invocation_of(pay))
    return failed.value


async def until(memory: MemoryLedger, pay: Tool[..., Any], words: str) -> EffectRecord:
    """The record, as soon as its detail has the words."""
    async with asyncio.timeout(20):
        # The ledger tells nobody of a change.
        while words not in (record := await record_of(memory, pay)).detail:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return record


# ---------------------------------------------------------------- kept


@pytest.mark.parametrize("error", [ToolError("no"), ToolUnavailableError("no"), ConnectionError("cut")])
async def test_no_refusal_of_a_tool_is_believed_while_its_thread_still_runs(
    threaded: ThreadedBank, memory: MemoryLedger, error: Exception
) -> None:
    threaded.error = error
    await failure(threaded.pay_and_find, memory)
    record = await until(memory, threaded.pay_and_find, "thread ThreadedBank.send")
    assert (record.state, record.attempts, is_outlived(record)) == ("intended", 1, True)
    assert (await failure(threaded.pay_and_find, memory, attempt=2)).type == "EffectBusy"
    threaded.goes_on.set()
    record = await until(memory, threaded.pay_and_find, "returned")
    assert (record.lease, is_outlived(record)) == (DELAY, False)


async def test_an_attempt_after_the_thread_has_ended_finds_what_it_did(
    threaded: ThreadedBank, memory: MemoryLedger
) -> None:
    threaded.error = ConnectionError("cut")
    await failure(threaded.pay_and_find, memory)
    threaded.goes_on.set()
    await until(memory, threaded.pay_and_find, "returned")
    memory.advance(DELAY)
    threaded.error = None
    assert (await carried_out(threaded.pay_and_find, memory, attempt=2)).output == "paid ada"
    assert threaded.payments == ["ada"]


async def test_a_record_that_another_has_taken_is_left_alone(
    threaded: ThreadedBank, memory: MemoryLedger
) -> None:
    keepers = Keepers()
    threaded.error = ConnectionError("cut")
    await cut_short(threaded.pay_and_find, memory, keepers, milliseconds=30_000)
    record = await until(memory, threaded.pay_and_find, "still running")
    found = await memory.get(record.key)
    assert found is not None
    taken = record.model_copy(update={"owner": "another", "detail": "another's"})
    assert await memory.replace(taken, version=found.version)
    threaded.goes_on.set()
    await keepers.ended()
    assert await record_of(memory, threaded.pay_and_find) == taken


# ---------------------------------------------------------------- the tool comes back late


async def test_a_result_that_comes_late_is_the_calls_end(memory: MemoryLedger) -> None:
    goes_on, keepers = asyncio.Event(), Keepers()

    @tool(effect="write", recovery="probe", options=OPTIONS)
    async def pay(to: str) -> str:
        """Pay, whatever happens."""
        while not goes_on.is_set():
            try:
                await goes_on.wait()
            except asyncio.CancelledError:
                continue
        return f"paid {to}"

    @pay.probe
    async def find(to: str) -> Happened[str] | DidNotHappen:
        return DidNotHappen()

    error = await cut_short(pay, memory, keepers)
    assert "TimeoutError" in error.message
    assert "the tool itself" in (await until(memory, pay, "still running")).detail
    goes_on.set()
    await until(memory, pay, "came back")
    assert (await carried_out(pay, memory, attempt=2)).output == "paid ada"


@pytest.mark.parametrize(("ends", "state"), [("paid", "done"), (ToolError("closed"), "failed")])
async def test_a_late_end_of_a_tool_that_only_a_person_can_tell_of_closes_its_record(
    memory: MemoryLedger, ends: str | Exception, state: str
) -> None:
    goes_on, keepers = asyncio.Event(), Keepers()

    @tool(effect="write", options=OPTIONS)
    async def pay(to: str) -> str:
        """Pay, whatever happens."""
        while not goes_on.is_set():
            try:
                await goes_on.wait()
            except asyncio.CancelledError:
                continue
        if isinstance(ends, Exception):
            raise ends
        return ends

    error = await cut_short(pay, memory, keepers)
    assert error.type == EFFECT_UNKNOWN_ERROR
    assert f"still running on worker {keepers.place}: the tool itself" in error.message
    assert (await record_of(memory, pay)).state == "unknown"
    goes_on.set()
    assert (await until(memory, pay, "came back")).state == state


# ---------------------------------------------------------------- a person


async def test_a_person_may_speak_while_a_thread_still_runs_and_nobody_acts_after_that(
    threaded: ThreadedBank, memory: MemoryLedger
) -> None:
    pay = threaded.pay_and_find
    threaded.error = ConnectionError("cut")
    await failure(pay, memory)
    await until(memory, pay, "still running")
    report = await asked(pay, memory, "did_not_happen", text="not on the statement")
    assert report.state == "failed"
    closed = await record_of(memory, pay)
    assert "still running" in closed.detail
    threaded.goes_on.set()
    result = await carried_out(pay, memory, attempt=2)
    assert result.error is not None
    assert "says ann" in result.error.message
    assert await record_of(memory, pay) == closed


async def test_a_person_may_not_speak_while_an_attempt_is_at_work(bank: Bank, memory: MemoryLedger) -> None:
    bank.hangs = True
    under_way = asyncio.ensure_future(carried_out(bank.pay_and_find, memory))
    await bank.paid.wait()
    with pytest.raises(ApplicationError, match="may still have its effect"):
        await asked(bank.pay_and_find, memory, "did_not_happen")
    bank.goes_on.set()
    assert (await under_way).ok


async def test_what_hangs_is_asked_about_after_a_bounded_time(
    threaded: ThreadedBank, memory: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    pay = threaded.pay_and_find
    short = ToolOptions(max_effect_delay=timedelta(0))
    monkeypatch.setattr(pay, "contract", pay.contract.model_copy(update={"options": short}))
    keepers = Keepers()
    await cut_short(pay, memory, keepers)
    record = await until(memory, pay, "(key ")
    assert record.state == "unknown"
    assert f"still running on worker {keepers.place}: thread ThreadedBank.send" in record.detail
    # Its lease is nothing to wait for: no attempt acts on an unknown one.
    async with asyncio.timeout(5):
        await keepers.ended()
    assert (await failure(pay, memory, attempt=2)).type == EFFECT_UNKNOWN_ERROR


async def test_nobody_is_asked_about_what_the_outside_system_says_has_happened(
    threaded: ThreadedBank, memory: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    pay = threaded.pay_and_find
    short = ToolOptions(max_effect_delay=timedelta(0))
    monkeypatch.setattr(pay, "contract", pay.contract.model_copy(update={"options": short}))
    threaded.payments.append("ada")  # it has paid, and its client never hears of it
    keepers = Keepers()
    await cut_short(pay, memory, keepers)
    assert (await until(memory, pay, "came back")).state == "done"


# ---------------------------------------------------------------- what is known


async def test_tasks_that_outlive_the_tool_are_known(memory: MemoryLedger, known: None) -> None:
    goes_on = asyncio.Event()

    async def send() -> None:
        await goes_on.wait()

    @tool(effect="write", recovery="key", options=OPTIONS)
    async def pay(to: str) -> str:
        """Pay in a task, and don't wait for it."""
        tasks.append(asyncio.create_task(send()))
        raise ConnectionError("cut")

    tasks: list[asyncio.Task[None]] = []
    await failure(pay, memory)
    assert "send" in (await until(memory, pay, "still running")).detail
    goes_on.set()
    await until(memory, pay, "ended after that")


async def test_tasks_that_are_made_apart_are_not_waited_for(memory: MemoryLedger, known: None) -> None:
    @tool(effect="write", recovery="key", options=OPTIONS)
    async def pay(to: str) -> str:
        """Pay, and keep a connection."""
        tasks.append(asyncio.create_task(asyncio.sleep(3600), context=apart()))
        raise ConnectionError("cut")

    tasks: list[asyncio.Task[None]] = []
    await failure(pay, memory)
    assert (await record_of(memory, pay)).detail == "attempt 1: ConnectionError: cut"
    tasks[0].cancel()


async def test_a_factory_that_the_loop_has_goes_on_making_the_tasks() -> None:
    made: list[str] = []

    def factory(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
        made.append(work.__qualname__)
        return asyncio.Task(work, loop=loop, **options)

    async def send() -> str:
        return "sent"

    loop = asyncio.get_running_loop()
    loop.set_task_factory(factory)
    try:
        with tasks_known(), tasks_known():
            running = Running[str]()
            assert await running.body(send()) == "sent"
            assert await asyncio.create_task(send(), name="named") == "sent"
        assert loop.get_task_factory() is factory
    finally:
        loop.set_task_factory(None)
    assert any("send" in name for name in made)


# ---------------------------------------------------------------- run_blocking


async def test_a_blocking_call_runs_in_a_thread_with_the_context_of_its_caller() -> None:
    word: ContextVar[str] = ContextVar("word")
    word.set("hello")

    def say(name: str, *, mark: str) -> tuple[str, bool]:
        return f"{word.get()} {name}{mark}", threading.current_thread() is threading.main_thread()

    assert await run_blocking(say, "ada", mark="!") == ("hello ada!", False)


@pytest.mark.parametrize(("error", "raised"), [(KeyError("x"), KeyError), (StopIteration(), RuntimeError)])
async def test_what_a_blocking_call_raises_is_raised(error: Exception, raised: type[Exception]) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(raised):
        await run_blocking(fail)


# ---------------------------------------------------------------- fencing


async def test_each_attempt_at_a_write_has_a_greater_fencing_token(bank: Bank, memory: MemoryLedger) -> None:
    tokens: list[int] = []

    @tool(effect="write", recovery="key")
    async def pay(to: str, context: ToolContext) -> str:
        """Pay somebody."""
        tokens.append(context.fencing_token)
        if len(tokens) < 4:
            raise ConnectionError("cut") if len(tokens) != 2 else ToolUnavailableError("not now")
        return "paid"

    for attempt in (1, 2, 3):
        await failure(pay, memory, attempt=attempt)
    assert (await carried_out(pay, memory, attempt=4)).ok
    assert len(tokens) == 4
    assert tokens == sorted(set(tokens))
    assert tokens[0] > 0


async def test_a_probe_has_a_fencing_token_between_its_attempts(
    threaded: ThreadedBank, memory: MemoryLedger
) -> None:
    threaded.goes_on.set()
    threaded.error = ConnectionError("cut")
    await failure(threaded.pay_and_find, memory)
    await until(memory, threaded.pay_and_find, "cut")
    threaded.payments.clear()  # the bank has lost it
    threaded.error = None
    memory.advance(DELAY)
    assert (await carried_out(threaded.pay_and_find, memory, attempt=2)).ok
    first, probe, second = threaded.tokens
    assert first < probe < second
