"""What is tried without a guard against time: it is broken off, where it would take for ever."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from time import thread_time

SLOW_SECONDS = 1.0
"""Of the processor, for one check: twice as long is taken for a deadlock in a workflow."""
TWIN_SECONDS = 0.25


class TooSlowError(BaseException):
    """It was broken off. None of ``Exception``'s: what is tried may catch all of those."""


@contextmanager
def broken_off(seconds: float = TWIN_SECONDS) -> Iterator[None]:
    """Let a block run for so long. Only in the main thread.

    Raises:
        TooSlowError: it took longer.
    """

    def stop(*_: object) -> None:
        raise TooSlowError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Stopwatch:
    """The processor's time of this thread: what others do on the machine does not count."""

    def __init__(self) -> None:
        self._began = thread_time()

    def too_slow(self) -> str | None:
        """How long it took, if that is too long."""
        took = thread_time() - self._began
        return f"took {took:.1f} s" if took > SLOW_SECONDS else None
