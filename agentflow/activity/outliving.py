"""What outlives its attempt: a thread that can't be stopped, a task that hears of no cancellation.

The attempt ends at its time-out, so that Temporal and the run see it. What it began runs on, and may still
have its effect. Until that has ended its record is kept from other attempts, and then left as an attempt
leaves it that knows no more. If the tool itself comes back with a result after all, that is the call's end.
What does not come back is a person's to judge: the record goes to ``unknown``, where no attempt acts.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from agentflow.activity.bounded import answered
from agentflow.activity.hold import Hold
from agentflow.activity.running import Running
from agentflow.contracts.tools import ToolResult
from agentflow.core import effects
from agentflow.errors import AgentflowError, LedgerError
from agentflow.telemetry import metrics
from agentflow.telemetry.logs import failure

_LOG = structlog.get_logger("agentflow")

MAX_PATIENCE = timedelta(minutes=5)
"""Beyond an attempt's own time limit no client is slow, it hangs: a person is asked after that limit once
more, after this at most, and ``max_effect_delay``."""
RETRY_SECONDS = 0.5
"""After a renewal that failed."""
_TICK = 0.01
"""Seconds that don't matter: a timer may end a moment before its time."""
PROBE_SECONDS = 10.0
"""For the last question to the outside system before a person is asked."""
TELL_SECONDS = 10.0
"""How often a worker that shuts down says what it waits for."""


@dataclass(frozen=True)
class Outlived:
    """An attempt that has ended, and what of it still runs."""

    hold: Hold
    running: Running[Any]
    lease: timedelta
    """Each renewal's."""
    delay: timedelta
    """How long the effect may still come about after the last of it has ended."""
    patience: timedelta
    """How long it may run on before a person is asked."""
    said: str
    """How the attempt ended, in words."""
    conclude: Callable[[object], Awaitable[bool]]
    """Records the body's late answer; ``False`` where it is no end."""
    ask: Callable[[], Awaitable[ToolResult | None]] | None = None
    """The probe. Its yes is believed at any time, its no not while something runs."""


class Keepers:
    """Keep the records of what outlives its attempts, in one worker process."""

    def __init__(self) -> None:
        self.place: str = f"{os.getpid()}@{socket.gethostname()}"
        """Where it runs, for a person: the worker's identity."""
        self._keeping: dict[asyncio.Task[None], Outlived] = {}
        self._waiting: set[asyncio.Task[None]] = set()

    async def leave(self, one: Outlived) -> None:
        """Leave the record of an attempt that doesn't know what it came to, as soon as nothing of it runs."""
        if await one.running.outlives():
            self.keep(one)
        elif not await self._concluded(one):
            await one.hold.leave(one.delay, one.said)

    def keep(self, one: Outlived) -> None:
        """Keep other attempts from acting while something still runs."""
        task = asyncio.create_task(self._keep(one))
        self._keeping[task] = one
        task.add_done_callback(lambda done: self._keeping.pop(done, None))

    def watch(self, one: Outlived) -> None:
        """Record how it ends, where no attempt will act any more."""
        task = asyncio.create_task(self._watch(one))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    def where(self, running: Running[Any]) -> str:
        """What still runs and where, in words; empty if nothing does."""
        left = ", ".join(running.left)
        return f"still running on worker {self.place}: {left}" if left else ""

    async def ended(self) -> None:
        """Wait until nothing runs any more whose record must be kept. Each is kept for a bounded time."""
        for one in self._keeping.values():
            one.running.cancel_again()
        while kept := {task: one for task, one in self._keeping.items() if not one.hold.is_over}:
            records = [one.hold.record for one in kept.values()]
            waits = ", ".join(sorted(f"{record.tool} ({record.key})" for record in records))
            _LOG.warning("shutdown waits for calls that still run; killed, they are in doubt", calls=waits)
            await asyncio.wait(kept, timeout=TELL_SECONDS)

    async def _keep(self, one: Outlived) -> None:
        loop, hold, running = asyncio.get_running_loop(), one.hold, one.running
        renews_at = loop.time()
        asks_at = renews_at + one.patience.total_seconds()
        _LOG.warning("a call outlives its attempt", **self._told(one))
        while loop.time() + _TICK < asks_at:
            if loop.time() + _TICK >= renews_at:
                kept = await self._renewed(one)
                if kept is False:
                    _LOG.warning(
                        "the record of a call that still runs was closed or taken", **self._told(one)
                    )
                    self.watch(one)
                    return
                renews_at = loop.time() + (one.lease.total_seconds() / 3 if kept else RETRY_SECONDS)
            await running.change(max(min(renews_at, asks_at) - loop.time(), 0))
            if await self._concluded(one):
                return
            if not running.left:
                await hold.leave(one.delay, _ended(one))
                return
        if not await self._found(one):
            await self._hand_over(one)

    async def _watch(self, one: Outlived) -> None:
        while not await self._concluded(one):
            if not one.running.left:
                break
            await one.running.change()
        else:
            return
        if one.hold.record.state == "unknown":
            try:
                await one.hold.write(effects.in_doubt(one.hold.record, _ended(one)))
            except LedgerError as error:
                _LOG.warning("ledger not updated", key=one.hold.record.key, **failure(error))

    async def _renewed(self, one: Outlived) -> bool | None:
        """Whether the record is still ours; ``None`` if that can't be found out now."""
        try:
            return await one.hold.outlive(one.lease, f"{one.said}; {self.where(one.running)}")
        except LedgerError as error:
            if one.hold.is_over:
                _LOG.error(
                    "the lease of a call that still runs is over, since the ledger can't be reached: "
                    "another attempt may act",
                    **self._told(one),
                    **failure(error),
                )
            else:
                _LOG.warning("lease not renewed", key=one.hold.record.key, **failure(error))
            return None

    async def _concluded(self, one: Outlived) -> bool:
        """The body may have come back with an end of the call."""
        body = one.running.late_body()
        if body is None or body.cancelled() or body.exception() is not None:
            return False
        try:
            return await one.conclude(body.result())
        except AgentflowError as contradicted:
            _LOG.error("late result not recorded", **self._told(one), **failure(contradicted))
            return True

    async def _found(self, one: Outlived) -> bool:
        """The outside system may say that it has happened: then nobody needs to be asked."""
        if one.ask is None:
            return False
        try:
            known = await answered(one.ask, PROBE_SECONDS)
            return known is not None and await one.conclude(known)
        except Exception as error:
            _LOG.warning("the outside system can't be asked", **self._told(one), **failure(error))
            return False

    async def _hand_over(self, one: Outlived) -> None:
        record = one.hold.record
        seconds = one.patience.total_seconds()
        detail = f"{one.said}; {seconds:g} s later {self.where(one.running)} (key {record.key})"
        metrics.effect_unknown(record.tool)
        _LOG.error("a call hangs: a person is asked", **self._told(one))
        try:
            await one.hold.write(effects.in_doubt(record, detail))
        except LedgerError as error:
            _LOG.warning("ledger not updated", key=record.key, **failure(error))
            self.keep(one)  # nobody can be asked yet
            return
        self.watch(one)

    def _told(self, one: Outlived) -> dict[str, str]:
        record = one.hold.record
        return {"tool": record.tool, "key": record.key, "running": ", ".join(one.running.left)}


def _ended(one: Outlived) -> str:
    how = "; ".join(one.running.came_back)
    return f"{one.said}; what it began ended after that" + (f": {how}" if how else "")
