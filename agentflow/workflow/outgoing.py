"""The commands of one workflow task, in bytes: what a server takes at once is bounded.

A worker answers a workflow task with all commands in one message, of which a server takes four megabytes. One
that is longer fails for ever, or the server ends the run without an outcome. So what doesn't fit waits for a
workflow task of its own.
"""

import asyncio
from collections.abc import Callable
from functools import partial

from temporalio import workflow

from agentflow.workflow.pause import pause


class Outgoing:
    """Counts what one execution sends.

    Where in history a command is made is not asked: after a local activity that is another place in a replay.
    An activity that is answered, and a timer that fires, say that all commands before them have left.
    """

    def __init__(self, max_payload_bytes: Callable[[], int]) -> None:
        """Begin.

        Args:
            max_payload_bytes: The most that a single payload may have. One workflow task takes half as much
                again.
        """
        self._max_payload_bytes = max_payload_bytes
        self._total = 0
        self._left = 0
        self._expected = 0
        """Of the answers of local activities, which are commands too, as markers."""
        self._turn = asyncio.Lock()

    async def room_for(self, size: int) -> int:
        """Wait until a command of a size fits, and count it. Answers a mark for ``have_left``."""
        await self._room(size)
        self._total += size
        return self._total

    def have_left(self, mark: int) -> None:
        """The command of this mark was answered: all up to it have left."""
        self._left = max(self._left, mark)

    async def expect(self, size: int) -> None:
        """Wait until the answer of a local activity fits that may be so long."""
        await self._room(size)
        self._expected += size

    def came(self, expected: int, size: int) -> None:
        """The answer is there, and is so long."""
        self._expected -= expected
        self._total += size

    async def room_to_end(self) -> None:
        """Wait until whatever ends the execution fits."""
        await self._room(self._max_payload_bytes())

    async def _room(self, size: int) -> None:
        # Who came first goes first: what is small must not keep what is large waiting.
        async with self._turn:
            while not self._has_room(size):
                if self._expected:
                    await workflow.wait_condition(partial(self._may_have_room, size, self._expected))
                    continue
                mark = self._total
                await pause("more bytes than one workflow task takes")
                self.have_left(mark)

    def _may_have_room(self, size: int, expected: int) -> bool:
        return self._has_room(size) or self._expected < expected

    def _has_room(self, size: int) -> bool:
        waiting = self._total - self._left + self._expected
        return not waiting or waiting + size <= self._max_payload_bytes() * 3 // 2
