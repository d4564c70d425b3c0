"""Commands that fail half-way: at their nth operation on a file, with an error or by ``kill -9``."""

import os
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Literal

WRITES = frozenset({"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.chmod", "fsync"})
"""Operations that are counted. Files that are opened to be read are left out."""
_READ_ONLY = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

How = Literal["error", "kill"]


class _Fault:
    """The one that is set, if any. Python's audit hooks can't be taken out again."""

    def __init__(self) -> None:
        self.is_on = False
        self.at: int | None = None
        self.how: How = "error"
        self.count = 0

    def operation(self) -> None:
        if not self.is_on:
            return
        number, self.count = self.count, self.count + 1
        if number != self.at:
            return
        if self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(28, "no space left on device (injected)")


_fault = _Fault()


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _fault.is_on or event not in WRITES:
        return
    if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & _READ_ONLY):
        return
    _fault.operation()


def _failing_fsync(_: int) -> None:
    # What is killed is a process, never the machine: nothing has to be on the disk, and a test is soon done.
    _fault.operation()


_installed: list[bool] = []


@contextmanager
def failing_at(number: int | None, how: How = "error") -> Generator[Callable[[], int]]:
    """Let the nth operation fail, from 0; ``None`` counts only. Yields what tells how many there were."""
    if not _installed:
        sys.addaudithook(_hook)
        _installed.append(True)
    _fault.at, _fault.how, _fault.count, _fault.is_on = number, how, 0, True
    before, os.fsync = os.fsync, _failing_fsync
    try:
        yield lambda: _fault.count
    finally:
        _fault.is_on = False
        os.fsync = before
