"""When a file was made: with its number, that names it among all files of a disk, deleted ones included.

Python doesn't tell it on Linux, so the C library is asked. Nothing is opened for it: SQLite's locks end when
any handle of the file is closed in the process.
"""

import ctypes
import os
import sys
from pathlib import Path

_AT_FDCWD = -100
_STATX_BTIME = 0x800
_SIZE, _MASK, _SECONDS, _NANOSECONDS = 256, 0, 80, 88
"""Of ``struct statx`` (linux/stat.h): its bytes, and where in it the mask and the time of birth are."""


def made_ns(path: Path) -> int | None:
    """When the file at a path was made, in nanoseconds since 1970; ``None`` where that isn't kept.

    Raises:
        OSError: it isn't there.
    """
    found = os.stat(path)
    if sys.platform == "win32":
        return found.st_ctime_ns
    birth: float | None = getattr(found, "st_birthtime", None)
    return _by_statx(path) if birth is None else round(birth * 1_000_000_000)


def _by_statx(path: Path) -> int | None:
    try:
        statx = ctypes.CDLL(None).statx
    except (AttributeError, OSError):
        return None
    answer = ctypes.create_string_buffer(_SIZE)
    if statx(_AT_FDCWD, os.fsencode(path), 0, _STATX_BTIME, answer) != 0:
        return None
    if not _number(answer, _MASK, 4) & _STATX_BTIME:
        return None
    return _number(answer, _SECONDS, 8) * 1_000_000_000 + _number(answer, _NANOSECONDS, 4)


def _number(answer: "ctypes.Array[ctypes.c_char]", at: int, size: int) -> int:
    return int.from_bytes(answer.raw[at : at + size], sys.byteorder)
