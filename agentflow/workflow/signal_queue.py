"""The order in which a run takes its signals, and how many in one workflow task.

Whoever may signal may send thousands while no worker is there, and all of them are in one workflow task then.
A task that takes two seconds counts as a deadlock and is tried again for ever, so that nothing that anybody
sent would be heard. So many are taken at once; the rest waits for workflow tasks of its own, which timers
bring.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime

from temporalio import workflow

from agentflow.workflow.arrivals import HeardSignal, SignalLog
from agentflow.workflow.pause import pause

MAX_AT_ONCE = 1_500
"""Signals that are taken in one workflow task. One takes about 0.2 ms, and its signature as much again."""

Take = Callable[[HeardSignal, Sequence[bytes]], None]


class SignalQueue:
    """The signals of one execution."""

    def __init__(self, take: Take, repeated: Callable[[], None]) -> None:
        """Take none yet.

        Args:
            take: Does what a signal asks for, or refuses it. It must not raise.
            repeated: Counts one of a crowd that came before in the same words, and is not looked at again.
        """
        self._take = take
        self._repeated = repeated
        self._log = SignalLog()
        self._waiting: deque[tuple[HeardSignal, Sequence[bytes]]] = deque()
        self._is_open = False
        self._taken_at = -1
        self._taken = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether a signal has come that has not been taken."""
        return bool(self._waiting)

    def may_have_come_before(self, time: datetime) -> bool:
        """Whether one that has not been taken may have come before a time."""
        return bool(self._waiting) and self._waiting[0][0].task.after < time

    def open(self) -> None:
        """The run's state is there: what came before is taken now."""
        self._is_open = True
        self._take_some()

    def put(self, name: str, payloads: Sequence[bytes]) -> None:
        """A signal came."""
        heard = self._log.heard(name, payloads)
        if heard.is_repeated:
            self._repeated()
            return
        self._waiting.append((heard, payloads))
        if self._is_open and self._task is None:
            self._take_some()

    def turn_away(self) -> int:
        """Take no more, since this execution ends. Answers how many that leaves."""
        self._is_open, left = False, len(self._waiting)
        self._waiting.clear()
        return left

    def _take_some(self) -> None:
        event = workflow.info().get_current_history_length()
        if event != self._taken_at:
            self._taken_at, self._taken = event, 0
        while self._waiting and self._taken < MAX_AT_ONCE:
            self._taken += 1
            self._take(*self._waiting.popleft())
        if self._waiting and self._task is None:
            self._task = asyncio.create_task(self._take_rest())

    async def _take_rest(self) -> None:
        while self._waiting:
            await pause("more signals came at once than one workflow task takes")
            self._take_some()
        self._task = None
