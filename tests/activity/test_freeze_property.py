"""Invariant: once the freeze command has answered, no write begins but those that it has named as under way.

A race is drawn: calls of a tool that start, fail and come again at any moment, a ledger whose every operation
takes its time, and a freeze in between. Without the question that each attempt asks, the same races break it.
"""

import asyncio
import random
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from temporalio.exceptions import ApplicationError

from agentflow.activity.context import ToolContext
from agentflow.activity.execution import tool_activity
from agentflow.activity.ledger_calls import LedgerCalls
from agentflow.activity.permits import Permits, WritePermits, permitted
from agentflow.activity.stops import StopReader
from agentflow.activity.tool import tool
from agentflow.adapters.freezes import Freezes, Frozen
from agentflow.adapters.memory_blobs import MemoryBlobStore
from agentflow.contracts.freeze import Freeze
from agentflow.contracts.wire import Sha256
from agentflow.testing import MemoryLedger
from agentflow.testing.settings import TEST_SEAL_KEYS
from tests.activity.outside import environment, grounds_of, invocation_of

CALLS = 12
CACHED, HEARD = timedelta(milliseconds=15), timedelta(milliseconds=60)
GROUNDS = grounds_of("acme")
FLEET = Freeze(scope="fleet", by="ops")


class SlowLedger(MemoryLedger):
    """Each operation waits before it is taken, and again before it is answered."""

    def __init__(self, dice: random.Random) -> None:
        super().__init__()
        self._dice = dice

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in ("insert", "get", "replace", "find", "stops", "stop"):
            return found

        async def slow(*args: Any, **options: Any) -> Any:
            await asyncio.sleep(self._dice.uniform(0, 0.006))
            answer = await found(*args, **options)
            await asyncio.sleep(self._dice.uniform(0, 0.006))
            return answer

        return slow


@dataclass
class Till:
    """Notes when each payment begins."""

    dice: random.Random
    begun: list[tuple[str, float]] = field(default_factory=list[tuple[str, float]])

    @tool(effect="write", recovery="key")
    async def pay(self, to: str, context: ToolContext) -> str:
        """Pay somebody."""
        self.begun.append((context.idempotency_key, asyncio.get_running_loop().time()))
        await asyncio.sleep(self.dice.uniform(0, 0.03))
        if self.dice.random() < 0.4:
            raise ConnectionError("cut")
        return to


@dataclass(frozen=True)
class Race:
    """What became of it."""

    begun: list[tuple[str, float]]
    answered: float
    found: Frozen

    @property
    def late(self) -> set[str]:
        """Writes that began after the command's answer, which has not named them."""
        named: set[Sha256] = {write.key for write in self.found.writes}
        return {key for key, at in self.begun if at > self.answered} - named


async def raced(seed: int, *, guarded: bool) -> Race:
    dice = random.Random(seed)
    ledger, till = SlowLedger(dice), Till(dice)
    stops = StopReader(ledger, cached_for=CACHED, heard_within=HEARD)
    permits: Permits = WritePermits(stops, "dev").permits if guarded else permitted
    run = tool_activity(till.pay, LedgerCalls(ledger, TEST_SEAL_KEYS), MemoryBlobStore(), permits=permits)
    loop = asyncio.get_running_loop()

    async def call(index: int) -> None:
        await asyncio.sleep(dice.uniform(0, 0.12))
        for attempt in range(1, 5):
            try:
                await environment(attempt).run(run, invocation_of(till.pay, index=index, grounds=GROUNDS))
            except ApplicationError as error:
                if error.non_retryable:
                    return
                await asyncio.sleep(dice.uniform(0, 0.02))
            else:
                return

    async def unreachable() -> Any:
        raise ConnectionError

    async def freeze() -> tuple[Frozen, float]:
        await asyncio.sleep(dice.uniform(0, 0.06))
        freezes = Freezes(ledger, "default", unreachable, settled_within=HEARD)
        found = await freezes.freeze(FLEET, wait=timedelta(0))
        return found, loop.time()

    async with asyncio.TaskGroup() as group:
        frozen = group.create_task(freeze())
        for index in range(CALLS):
            group.create_task(call(index))
    found, answered = frozen.result()
    return Race(till.begun, answered, found)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32))
def test_no_write_begins_after_a_freeze_has_answered(seed: int) -> None:
    assert asyncio.run(raced(seed, guarded=True)).late == set()


def test_without_the_question_the_same_races_are_lost() -> None:
    assert any(asyncio.run(raced(seed, guarded=False)).late for seed in range(30))


def test_what_began_before_a_freeze_is_made() -> None:
    assert any(asyncio.run(raced(seed, guarded=True)).begun for seed in range(30))
