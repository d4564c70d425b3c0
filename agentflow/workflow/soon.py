"""Something that is done a few times for what one workflow task brings, however many signals that are.

Thousands of signals may come while no worker is there, and are all in one task then. A task whose commands
pass 4 MB in sum fails for ever, and one that takes two seconds counts as a deadlock.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime

from temporalio import workflow

AT_ONCE = 10
"""How often it is done at once in a workflow task; all that is asked for beyond that is done together."""


class Soon:
    """Does what is asked for: at once or, of many in one workflow task, once for all when they are heard."""

    def __init__(self, what: Callable[[], None]) -> None:
        self._what = what
        self._now: datetime | None = None
        """Start of the workflow task that is under way."""
        self._times = 0
        self._task: asyncio.Task[None] | None = None
        self._is_over = False

    def __call__(self) -> None:
        """Do it."""
        if self._is_over:
            return
        now = workflow.now()
        self._now, self._times = now, self._times + 1 if now == self._now else 1
        if self._times <= AT_ONCE:
            self._what()
        elif self._task is None or self._task.done():
            self._task = asyncio.create_task(self._do())

    def never(self) -> None:
        """Do it no more: the execution ends here."""
        self._is_over = True

    async def _do(self) -> None:
        if not self._is_over:
            self._what()
