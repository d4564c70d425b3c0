"""Lines of a log whose reader stalls."""

import threading
from functools import lru_cache

from agentflow.telemetry.log_writer import LogWriter


@lru_cache(maxsize=4)
def _writer(most: int) -> LogWriter:
    # Its thread never ends: one for each bound is enough.
    return LogWriter(most)


def lines(count: int, most: int) -> str | None:
    """What goes wrong if so many lines are put while nothing is written, or ``None``.

    Args:
        count: Lines that are put.
        most: Lines that may wait.
    """
    writer, stalls, goes_on, written = _writer(most), threading.Event(), threading.Event(), list[int]()

    def stall() -> None:
        stalls.set()
        goes_on.wait(30)

    try:
        writer.put(stall)
        if not stalls.wait(30):
            return "the first line was not written"
        for number in range(count):
            writer.put(lambda number=number: written.append(number))
    finally:
        goes_on.set()
    if not writer.flush(30):
        return "lines were never written"
    if len(written) > most:
        return f"{len(written)} lines waited, and {most} may"
    return None if written == list(range(min(count, most))) else "lines are out of order, or lost"
