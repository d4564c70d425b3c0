"""A clock of this machine that nobody can set, and that all of its processes share."""

import functools
import time
from pathlib import Path
from typing import NamedTuple

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_OFFSETS = Path("/proc/self/timens_offsets")
_CLOCK: int | None = getattr(time, "CLOCK_BOOTTIME", None)


class Uptime(NamedTuple):
    """A moment, by the time since this machine started."""

    boot: str | None
    """Names this start of the machine; ``None`` where the system doesn't."""
    us: int
    """Microseconds since then; on Linux those in sleep too."""

    @classmethod
    def now(cls) -> "Uptime":
        """This moment."""
        return cls(_boot(), uptime_us())

    def us_ago(self, earlier: "Uptime") -> int:
        """Microseconds from an earlier moment of this machine to this one, at least.

        After a restart no more is sure than that the time since then has passed. Where the system doesn't
        name its starts, a clock that reads less than before tells of one; else the difference is never too
        much, since the clock began at nothing.
        """
        is_same = earlier.boot == self.boot if earlier.boot and self.boot else earlier.us <= self.us
        return max(0, self.us - earlier.us) if is_same else self.us


def uptime_us() -> int:
    """Microseconds since this machine started."""
    if _CLOCK is None:
        return time.monotonic_ns() // 1_000
    return time.clock_gettime_ns(_CLOCK) // 1_000 - _offset_us()


@functools.cache
def _boot() -> str | None:
    try:
        return _BOOT_ID.read_text("ascii").strip() or None
    except (OSError, ValueError):
        return None


@functools.cache
def _offset_us() -> int:
    """How much further this process's clock is than the machine's: a container may have a time namespace."""
    try:
        lines = [line.split() for line in _OFFSETS.read_text("ascii").splitlines()]
        (offset,) = [int(s) * 1_000_000 + int(ns) // 1_000 for name, s, ns in lines if name == "boottime"]
    except (OSError, ValueError):
        return 0
    return offset
