"""Invariant 2: a write happens at most once for each ledger key, or the run is at UNKNOWN.

A world is drawn: attempts that die before, during and after the call, workers that were thought dead and
go on, requests that arrive late, a ledger that fails before or after it has taken a change. Whatever the
world, the outside system is changed once at most, and whoever was told an end was told the truth.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from temporalio.testing import ActivityEnvironment

from agentflow.activity import hold
from agentflow.activity.calling import ToolCaller
from agentflow.activity.context import ToolContext
from agentflow.activity.effects import EffectOnce
from agentflow.activity.ledger_calls import LedgerCalls
from agentflow.activity.tool import DidNotHappen, Happened, tool
from agentflow.contracts.effects import EffectReport
from agentflow.contracts.tools import Recovery, ToolInvocation, ToolOptions, ToolResult
from agentflow.errors import (
    AgentflowError,
    EffectUnknownError,
    LedgerError,
    ToolError,
    ToolUnavailableError,
)
from agentflow.testing.memory_ledger import MemoryLedger
from agentflow.testing.settings import TEST_SEAL_KEYS
from tests.activity.outside import WORKFLOW_ID, invocation_of

LIMIT = timedelta(seconds=10)
DELAY = timedelta(seconds=5)
# Around the ends of the attempt, of its lease, and of what may still arrive.
SECONDS = st.sampled_from([timedelta(seconds=seconds) for seconds in (0, 1, 4, 9, 11, 14, 16)])
FATES = st.sampled_from(
    [
        "fine",
        "fine",
        "killed before",
        "killed after",
        "killed after",
        "lost answer",
        "late",
        "unavailable",
        "refused",
        "zombie",
    ]
)


class Killed(BaseException):
    """The process died: nothing of it runs on."""


@dataclass
class World:
    """The outside system, and the dice."""

    draw: Callable[[Any], Any]
    honours_keys: bool
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    effects: list[str] = field(default_factory=list[str])
    in_flight: list[tuple[Any, str]] = field(default_factory=list[tuple[Any, str]])
    zombies: int = 0
    another: Callable[[], Awaitable[object]] | None = None

    def advance(self, by: timedelta) -> None:
        self.ledger.advance(by)
        self.arrive()

    def arrive(self) -> None:
        """What was in flight and is due has its effect."""
        due = [key for at, key in self.in_flight if at <= self.ledger.now]
        self.in_flight = [(at, key) for at, key in self.in_flight if at > self.ledger.now]
        for key in due:
            self.happen(key)

    def happen(self, key: str) -> None:
        if self.honours_keys and key in self.effects:
            return
        self.effects.append(key)

    async def call(self, key: str) -> str:
        began = self.ledger.now
        fate = self.draw(FATES)
        if fate == "killed before":
            raise Killed
        if fate == "unavailable":
            raise ToolUnavailableError("nobody listens")
        if fate == "refused":
            raise ToolError("no")
        if fate == "zombie" and self.another and self.zombies < 2:
            self.zombies += 1
            self.advance(self.draw(SECONDS))
            await self.another()
            if self.ledger.now - began >= LIMIT:
                raise TimeoutError  # what ``Hold.at_work`` does to it
        else:
            self.advance(self.draw(st.sampled_from([timedelta(0), LIMIT * 0.9])))
        if fate in ("lost answer", "late", "killed after") and self.draw(st.booleans()):
            arrival = self.ledger.now + self.draw(st.sampled_from([timedelta(0), DELAY / 2, DELAY]))
            self.in_flight.append((arrival, key))
        elif fate != "late":
            self.happen(key)
        if fate == "killed after":
            raise Killed
        if fate in ("lost answer", "late"):
            raise ConnectionError("lost on the way")
        return "done"


class ShakyLedger:
    """The ledger of a world, which fails before or after it has taken a change."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._world.ledger, name)
        draw = self._world.draw

        async def shaky(*args: Any, **options: Any) -> Any:
            fault = draw(st.sampled_from([None] * 12 + ["before", "after", "killed before", "killed after"]))
            if fault == "before":
                raise LedgerError("out of reach")
            if fault == "killed before":
                raise Killed
            answer = await method(*args, **options)
            if fault == "after":
                raise LedgerError("answer lost")
            if fault == "killed after":
                raise Killed
            return answer

        return shaky


def write_of(world: World, recovery: Recovery) -> tuple[EffectOnce, ToolInvocation]:
    options = ToolOptions(max_effect_delay=DELAY)

    @tool(effect="irreversible", recovery=recovery, options=options)
    async def pay(to: str, context: ToolContext) -> str:
        """Pay somebody."""
        return await world.call(context.idempotency_key)

    if recovery == "probe":

        @pay.probe
        async def look(to: str, context: ToolContext) -> Happened[str] | DidNotHappen:
            if world.draw(st.integers(0, 9)) == 0:
                raise ConnectionError("payments can't be asked")
            return Happened("done") if context.idempotency_key in world.effects else DidNotHappen()

    return EffectOnce(ToolCaller(pay), LedgerCalls(ShakyLedger(world), TEST_SEAL_KEYS)), invocation_of(pay)  # type: ignore[arg-type]


def environment() -> ActivityEnvironment:
    found = ActivityEnvironment()
    found.info = replace(
        found.info, workflow_id=WORKFLOW_ID, namespace="default", start_to_close_timeout=LIMIT
    )
    return found


async def story(world: World, recovery: Recovery) -> list[ToolResult | EffectReport]:
    """Some attempts, then the run's own look-up, until it is told an end or that a person must say."""
    write, invocation = write_of(world, recovery)
    told: list[ToolResult | EffectReport] = []

    async def attempt() -> str:
        try:
            told.append(await environment().run(write.carry_out, invocation))
        except EffectUnknownError:
            return "unknown"
        except (Killed, AgentflowError, ConnectionError, TimeoutError):
            return "failed"
        return "told"

    world.another = attempt
    for _ in range(world.draw(st.integers(1, 5))):
        ended = await attempt()
        world.advance(world.draw(SECONDS))
        if ended != "failed":
            break
    for _ in range(4):
        try:
            told.append(await environment().run(write.reconcile, invocation))
            break
        except (Killed, AgentflowError, ConnectionError):
            world.advance(timedelta(seconds=20))
    world.advance(timedelta(minutes=5))
    return told


@pytest.mark.parametrize("recovery", ["key", "probe", "ask"])
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_write_happens_once_at_most_and_nobody_is_told_otherwise(
    recovery: Recovery, data: st.DataObject
) -> None:
    world = World(data.draw, honours_keys=recovery == "key")
    no_pause, hold.PAUSE_SECONDS = hold.PAUSE_SECONDS, 0
    try:
        told = asyncio.run(story(world, recovery))
    finally:
        hold.PAUSE_SECONDS = no_pause
    assert len(world.effects) <= 1
    for end in told:
        match end:
            case ToolResult(error=None) | EffectReport(state="done"):
                assert len(world.effects) == 1
            case ToolResult() | EffectReport(state="failed"):
                assert world.effects == []
            case EffectReport(state="unknown"):
                pass
