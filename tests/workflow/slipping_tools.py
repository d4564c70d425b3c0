"""Tools that slip from the run's hands: it hears nothing more of them, or hears it late."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from agentflow import (
    DidNotHappen,
    Happened,
    RetryOptions,
    ToolContext,
    ToolError,
    ToolOptions,
    ToolUnavailableError,
    tool,
)
from tests.workflow.tools import QUICK

SOON = timedelta(milliseconds=100)
TWICE = RetryOptions(max_attempts=2, initial_interval=timedelta(milliseconds=10))
ONCE = RetryOptions(max_attempts=1)
IN_A_WHILE = RetryOptions(max_attempts=2, initial_interval=timedelta(seconds=4))
OFTEN = RetryOptions(max_attempts=40, initial_interval=timedelta(milliseconds=250), backoff=1)


@dataclass
class Slips:
    """What they did, in order."""

    done: list[str] = field(default_factory=list[str])
    after_acting: Callable[[], None] = lambda: None
    acted: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    @tool(
        effect="irreversible",
        options=ToolOptions(
            retry=QUICK,
            schedule_to_close_timeout=timedelta(seconds=2),
            start_to_close_timeout=timedelta(seconds=2),
            max_effect_delay=SOON,
        ),
    )
    async def pay_in_time(self, account: str) -> str:
        """Pay, within two seconds in all; a slow account takes longer."""
        await self._pay(account, "slow")
        return "paid"

    @tool(
        effect="irreversible",
        options=ToolOptions(
            retry=OFTEN,
            heartbeat_timeout=timedelta(seconds=1),
            start_to_close_timeout=timedelta(seconds=5),
            max_effect_delay=SOON,
        ),
    )
    async def pay_slowly(self, account: str) -> str:
        """Pay, and take long to say so for a slow account."""
        await self._pay(account, "slow")
        return "paid"

    @tool(
        effect="write",
        recovery="key",
        options=ToolOptions(retry=TWICE, start_to_close_timeout=timedelta(seconds=1)),
    )
    async def pay_and_hang(self, context: ToolContext, account: str) -> str:
        """Pay, and say nothing."""
        await self._pay(account, account)
        return "paid"

    @tool(
        effect="write",
        recovery="key",
        options=ToolOptions(retry=ONCE, start_to_close_timeout=timedelta(seconds=1)),
    )
    async def pay_once(self, context: ToolContext, account: str) -> str:
        """Pay, and hang; refuse to do it again."""
        if self.done:
            self.done.append("refused")
            raise ToolError("paid already")
        await self._pay(account, account)
        return "paid"

    @tool(
        effect="irreversible",
        recovery="probe",
        options=ToolOptions(
            retry=ONCE,
            start_to_close_timeout=timedelta(seconds=2),
            # Each wait is cut to a quarter of an hour, and more of them are needed than Temporal retries.
            max_effect_delay=timedelta(hours=12),
        ),
    )
    async def pay_by_post(self, context: ToolContext, account: str) -> str:
        """Pay at a bank that takes its time."""
        self.done.append(account)
        raise TimeoutError("the line went dead")

    @pay_by_post.probe
    async def ask_by_post(self, context: ToolContext, account: str) -> Happened[str] | DidNotHappen:
        """Whether the bank has paid."""
        self.done.append("looked")
        return Happened("paid")

    @tool(
        effect="irreversible",
        options=ToolOptions(retry=TWICE, start_to_close_timeout=timedelta(seconds=2), max_effect_delay=SOON),
    )
    async def pay_at_the_counter(self, account: str) -> str:
        """Pay where nobody is in."""
        raise ToolUnavailableError("nobody is in")

    @tool(
        effect="write",
        recovery="key",
        options=ToolOptions(retry=IN_A_WHILE, start_to_close_timeout=timedelta(seconds=2)),
    )
    async def pay_and_fail(self, context: ToolContext, account: str) -> str:
        """Pay, and fail; it is tried again in a while."""
        self.done.append(account)
        raise ConnectionError("cut off")

    @tool(
        effect="irreversible",
        options=ToolOptions(retry=TWICE, start_to_close_timeout=timedelta(seconds=4), max_effect_delay=SOON),
    )
    async def pay_when_released(self, account: str) -> str:
        """Pay, and say so to a held account once that is released."""
        self.done.append(account)
        self.acted.set()
        if account == "held":
            await self.released.wait()
        return "paid"

    @tool(
        effect="write",
        recovery="key",
        options=ToolOptions(retry=TWICE, task_queue="nobody-works-here"),
    )
    async def pay_elsewhere(self, context: ToolContext, account: str) -> str:
        """Pay, on other workers."""
        self.done.append(account)
        return "paid"

    @tool(effect="irreversible", options=ToolOptions(retry=QUICK, max_effect_delay=SOON))
    async def pay_vaguely(self, account: str) -> Any:
        """Pay, and answer what nobody can use."""
        self.done.append(account)
        return object()

    async def _pay(self, account: str, hangs_for: str) -> None:
        self.done.append(account)
        if account == hangs_for:
            self.after_acting()
            await asyncio.sleep(3600)
