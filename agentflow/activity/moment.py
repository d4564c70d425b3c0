"""A moment by two clocks, for how long ago something was."""

import asyncio
import time
from typing import NamedTuple


class Moment(NamedTuple):
    """A moment by two clocks. The event loop's may stand still in sleep, the wall's may jump."""

    loop: float
    wall: float

    @classmethod
    def now(cls) -> "Moment":
        """This one."""
        return cls(asyncio.get_running_loop().time(), time.time())

    def seconds_ago(self) -> float:
        """How long ago it was, by the clock that says longer."""
        now = Moment.now()
        return max(now.loop - self.loop, now.wall - self.wall)
