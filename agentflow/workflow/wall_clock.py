"""The time that a run may take, from its first execution's begin."""

import asyncio
from datetime import timedelta
from types import TracebackType
from typing import Self

from temporalio import workflow

from agentflow.errors import AgentflowError


class WallTimeOverError(AgentflowError):
    """The run's wall time is over."""


class WallClock:
    """Cancels what is within it when time is over: ``asyncio.timeout``, but for how its timer ends.

    That one cancels the timer. After a local activity a replay may be in the workflow task that started it,
    where the run was in a later one: then Temporal would drop both, and find the timer of history missing.
    This one lets the timer be; it ends with the execution.
    """

    def __init__(self, left: timedelta | None) -> None:
        """Begin it.

        Args:
            left: After so long; ``None`` is never.
        """
        self._left = left
        self._is_over = self._has_rung = False
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._bell: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start the timer."""
        if self._left is not None:
            self._task = asyncio.current_task()
            self._cancelling = self._task.cancelling() if self._task else 0
            self._bell = asyncio.create_task(self._ring(self._left))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End.

        Raises:
            WallTimeOverError: time was over, and what was within ended by that.
        """
        self._is_over = True
        if self._has_rung and self._task is not None:
            was_cancelled = self._task.uncancel() > self._cancelling
            if kind is asyncio.CancelledError and not was_cancelled:
                raise WallTimeOverError from error

    async def _ring(self, left: timedelta) -> None:
        if left > timedelta(0):
            await workflow.sleep(left, summary="wall time")
        if not self._is_over and self._task is not None:
            self._has_rung = True
            self._task.cancel()
