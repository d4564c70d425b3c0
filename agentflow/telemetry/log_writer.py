"""Log lines are written by a thread of their own: whoever logs never waits for whoever reads.

A log is often a pipe. A reader that stalls would stop a workflow's thread in the middle of a task, which
Temporal takes for a deadlock, and an event loop with all activities of the worker.
"""

import atexit
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue

import structlog

MAX_LINES = 10_000
"""Lines that wait to be written. What is logged while so many wait is dropped, and counted."""
_EXIT_SECONDS = 2.0
"""How long a process waits at its end for what is left to be written."""

Write = Callable[[], object]


class LogWriter:
    """Writes in the order in which it is asked to, in a thread that does nothing else."""

    def __init__(self, max_lines: int = MAX_LINES) -> None:
        """Make it; the thread starts with the first line.

        Args:
            max_lines: How many may wait.
        """
        self._max_lines = max_lines
        # Without a lock of Python's: a thread that Temporal interrupts in a deadlock may never release one.
        self._waiting: SimpleQueue[Write] = SimpleQueue()
        self._dropped = 0
        self._thread: threading.Thread | None = None
        self._process = 0

    def put(self, write: Write) -> None:
        """Have something written soon. Never waits, and never raises what the writing raises."""
        if threading.current_thread() is self._thread:
            _written(write)
        elif self._waiting.qsize() >= self._max_lines:
            self._dropped += 1
        else:
            self._waiting.put(write)
            self._ensure_thread()

    def flush(self, seconds: float = _EXIT_SECONDS) -> bool:
        """Wait until what was put before is written. Answers whether it is, in so many seconds."""
        if self._thread is None or self._process != os.getpid():
            return True
        is_written = threading.Event()
        self._waiting.put(is_written.set)
        return is_written.wait(seconds)

    def _ensure_thread(self) -> None:
        # A fork takes no thread along.
        if self._thread is None or self._process != os.getpid():
            self._process = os.getpid()
            self._thread = threading.Thread(target=self._write_all, name="agentflow-log", daemon=True)
            self._thread.start()

    def _write_all(self) -> None:
        while True:
            _written(self._waiting.get())
            if self._dropped and self._waiting.qsize() < self._max_lines // 2:
                dropped, self._dropped = self._dropped, 0
                _written(lambda dropped=dropped: _LOG.warning("log lines were dropped", dropped=dropped))


_LOG = structlog.get_logger("agentflow")

LOG_WRITER = LogWriter()
"""That of the process."""

atexit.register(LOG_WRITER.flush)


def _written(write: Write) -> None:
    """Write a line. One that can't be written, as its file is full or closed, must not end those after it."""
    try:
        write()
    except Exception:
        return
