"""A bank that notes when each payment begins."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, NamedTuple

from agentflow import DidNotHappen, Happened, RetryOptions, ToolContext, ToolOptions, tool

OPTIONS = ToolOptions(
    # Enough that a payment which is tried again too often would show.
    retry=RetryOptions(max_attempts=4, initial_interval=timedelta(milliseconds=10)),
    max_effect_delay=timedelta(0),
)
TOOLS = ("pay", "remit", "wire")
"""With ``recovery`` by key, by probe, and by asking a person."""

Failing = Literal["", "before it pays", "after it paid"]


class Begun(NamedTuple):
    """An attempt that called the bank."""

    at: float
    """By the monotonic clock."""
    key: str
    """The idempotency key."""
    attempt: int


async def _nothing() -> None:
    """Happens where nothing else does."""


@dataclass
class Plan:
    """How payments to one account go."""

    failing: Failing = ""
    """How the first attempt of the first payment ends; the others are carried out."""
    under_way: Callable[[], Awaitable[None]] = _nothing
    """Awaited by that attempt, before it ends."""
    asked: Callable[[], Awaitable[None]] = _nothing
    """Awaited by the probe, before it answers."""


class LateBank:
    """The outside system: it knows idempotency keys, and what it has paid."""

    def __init__(self) -> None:
        self.plans: defaultdict[str, Plan] = defaultdict(Plan)
        self.begun: defaultdict[str, list[Begun]] = defaultdict(list)
        self.paid: defaultdict[str, set[str]] = defaultdict(set)
        """Idempotency keys of the payments made, by account."""

    @tool(effect="write", recovery="key", sinks=(), options=OPTIONS)
    async def pay(self, context: ToolContext, account: str, amount: str) -> str:
        """Pay an amount to an account."""
        return await self._pay(context, account)

    @tool(effect="write", recovery="probe", sinks=(), options=OPTIONS)
    async def remit(self, context: ToolContext, account: str, amount: str) -> str:
        """Remit an amount to an account."""
        return await self._pay(context, account)

    @remit.probe
    async def find_remittance(
        self, context: ToolContext, account: str, amount: str
    ) -> Happened[str] | DidNotHappen:
        """Whether it was remitted."""
        was_paid = context.idempotency_key in self.paid[account]
        await self.plans[account].asked()
        return Happened(f"paid {account}") if was_paid else DidNotHappen()

    @tool(effect="irreversible", recovery="ask", sinks=(), options=OPTIONS)
    async def wire(self, context: ToolContext, account: str, amount: str) -> str:
        """Wire an amount to an account."""
        return await self._pay(context, account)

    async def _pay(self, context: ToolContext, account: str) -> str:
        plan, is_first = self.plans[account], not self.begun[account]
        self.begun[account].append(Begun(time.monotonic(), context.idempotency_key, context.attempt))
        if is_first and plan.failing == "after it paid":
            self.paid[account].add(context.idempotency_key)
        if is_first:
            await plan.under_way()
        if is_first and plan.failing:
            raise ConnectionError("cut")
        self.paid[account].add(context.idempotency_key)
        return f"paid {account}"


class Gate:
    """Stops a payment under way until it is opened."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def __call__(self) -> None:
        """Wait here."""
        self.reached.set()
        await self.opened.wait()
