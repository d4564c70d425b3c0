"""No attempt acts while something of another still runs, whatever that is and however long it takes.

A world is drawn: tools that heed their cancellation or don't, that pay in tasks of their own and leave them
behind, in threads that agentflow is told of, sooner or later or never. The run tries again and again, as Temporal
and the run do; time is virtual. Threads are played by futures that the world completes.
"""

import asyncio
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from temporalio.testing import ActivityEnvironment

from agentflow.activity import running
from agentflow.activity.calling import ToolCaller
from agentflow.activity.context import ToolContext
from agentflow.activity.effects import EffectOnce
from agentflow.activity.ledger_calls import LedgerCalls
from agentflow.activity.tool import DidNotHappen, Happened, tool
from agentflow.contracts.tools import Recovery, ToolOptions, ToolResult
from agentflow.errors import EffectBusyError, EffectUnknownError, LedgerError, ToolError, ToolUnavailableError
from agentflow.testing import MemoryLedger
from agentflow.testing.settings import TEST_SEAL_KEYS
from tests.activity.outside import WORKFLOW_ID, invocation_of
from tests.activity.virtual_time import run

LIMITS = st.sampled_from([timedelta(seconds=10), timedelta(seconds=100)])
"""Within one lease, and with leases that are renewed."""
NEVER = 100_000.0
TAKES = st.sampled_from([0.0, 1.0, 9.0, 11.0, 13.0, 15.0, 19.0, 25.0, 101.0, 120.0, 180.0, 300.0, NEVER])
MANNERS = st.sampled_from(["heeds", "deaf", "task", "thread", "thread", "leaves a task", "leaves a thread"])
WRONG = st.sampled_from([None, ToolError, ToolUnavailableError])
PAUSES = st.sampled_from([0.0, 0.1, 1.0, 5.0])


class LoopLedger(MemoryLedger):
    """In memory, by the clock of the event loop; out of reach at times."""

    outages: list[tuple[float, float]]

    async def get(self, key: Any) -> Any:
        self._tick()
        return await super().get(key)

    async def insert(self, record: Any) -> Any:
        self._tick()
        return await super().insert(record)

    async def replace(self, record: Any, *, version: int) -> Any:
        self._tick()
        return await super().replace(record, version=version)

    def _tick(self) -> None:
        now = asyncio.get_running_loop().time()
        self.now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=now)
        if any(begin <= now < end for begin, end in self.outages):
            raise LedgerError("out of reach")


@dataclass
class World:
    """The outside system, and the dice."""

    draw: Any
    at_it: set[int] = field(default_factory=set[int])
    """Attempts of which something runs."""
    paid: int = 0
    attempts: int = 0
    overlapped: bool = False

    async def call(self) -> str:
        self.attempts += 1
        attempt, manner, takes = self.attempts, self.draw(MANNERS), self.draw(TAKES)
        self.overlapped |= bool(self.at_it)
        match manner:
            case "heeds":
                return await self.pay(attempt, takes)
            case "deaf":
                return await self.pay_deaf(attempt, takes)
            case "task":
                return await asyncio.shield(asyncio.create_task(self.pay(attempt, takes)))
            case "thread":
                return await asyncio.wrap_future(self.thread(attempt, takes))
            case "leaves a task":
                tasks.add(asyncio.create_task(self.pay(attempt, takes)))
            case _:
                self.thread(attempt, takes)
        await asyncio.sleep(0.1)
        # A tool may say that nothing has happened while something of it is still about to.
        if attempt in self.at_it and (wrong := self.draw(WRONG)):
            raise wrong("no")
        raise ConnectionError("cut")

    async def pay(self, attempt: int, takes: float) -> str:
        self.at_it.add(attempt)
        try:
            await asyncio.sleep(takes)
            self.paid += 1
            return "paid"
        finally:
            self.at_it.discard(attempt)

    async def pay_deaf(self, attempt: int, takes: float) -> str:
        paying = asyncio.create_task(self.pay(attempt, takes))
        while not paying.done():
            try:
                await asyncio.shield(paying)
            except asyncio.CancelledError:
                continue
        return "paid"

    def thread(self, attempt: int, takes: float) -> Future[str]:
        outcome: Future[str] = Future()
        outcome.set_running_or_notify_cancel()
        self.at_it.add(attempt)

        def end() -> None:
            self.paid += 1
            self.at_it.discard(attempt)
            outcome.set_result("paid")

        here = running._RUNNING.get()
        assert here is not None
        here.add_thread(outcome, "send")
        asyncio.get_running_loop().call_later(takes, end)
        return outcome


def _heard(attempt: asyncio.Future[Any]) -> None:
    if not attempt.cancelled():
        attempt.exception()


tasks: set[asyncio.Task[Any]] = set()


async def story(world: World, recovery: Recovery) -> None:
    ledger = LoopLedger()
    at = world.draw(st.sampled_from([5.0, 10.0, 12.0, 20.0, 40.0, 100.0, 120.0]))
    # Shorter than ``HANDOVER``: a lease that can't be renewed for all of its time is lost.
    ledger.outages = [(at, at + world.draw(st.sampled_from([0.0, 1.0, 3.0])))]

    @tool(effect="irreversible", recovery=recovery, options=ToolOptions(max_effect_delay=timedelta(0)))
    async def pay(to: str, context: ToolContext) -> str:
        """Pay somebody."""
        return await world.call()

    if recovery == "probe":

        @pay.probe
        async def look(to: str, context: ToolContext) -> Happened[str] | DidNotHappen:
            return Happened("paid") if world.paid else DidNotHappen()

    once, invocation = EffectOnce(ToolCaller(pay), LedgerCalls(ledger, TEST_SEAL_KEYS)), invocation_of(pay)
    told: ToolResult | None = None
    limit = world.draw(LIMITS)
    with running.tasks_known():
        for _ in range(12):
            surroundings = ActivityEnvironment()
            surroundings.info = replace(
                surroundings.info, workflow_id=WORKFLOW_ID, namespace="default", start_to_close_timeout=limit
            )
            try:
                attempt = asyncio.ensure_future(surroundings.run(once.carry_out, invocation))
                await asyncio.wait({attempt}, timeout=limit.total_seconds())
                if not attempt.done():
                    # Temporal's clock: it counts as over, and is told so.
                    attempt.cancel()
                    attempt.add_done_callback(_heard)
                    raise TimeoutError
                told = attempt.result()
                break
            except EffectBusyError as busy:
                await asyncio.sleep(busy.retry_after.total_seconds())
            except EffectUnknownError:
                break
            except Exception:  # the attempt failed, and says no more
                await asyncio.sleep(world.draw(PAUSES))
        await asyncio.sleep(2 * NEVER)
    assert not world.overlapped
    assert world.paid <= 1
    if told is not None:
        assert (told.error is None) == bool(world.paid)


@pytest.mark.parametrize("recovery", ["probe", "ask"])
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_attempt_acts_while_something_of_another_runs(recovery: Recovery, data: st.DataObject) -> None:
    run(story(World(data.draw), recovery))
