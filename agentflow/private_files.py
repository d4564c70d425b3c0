"""Files and folders that agentflow makes: their owner's alone, whatever the process's umask says.

They hold what runs said and did, or keys. So none is ever there for others, not for a moment: each is made
with its mode, and not narrowed afterwards. What is there already keeps the mode that somebody gave it;
``is_open_to_others`` tells. On Windows modes mean nothing, and what the folder allows is inherited.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

FILE_MODE = 0o600
FOLDER_MODE = 0o700
CHILD_UMASK = 0o077
"""For processes that make files of their own."""

_BINARY: int = getattr(os, "O_BINARY", 0)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing.

    Raises:
        OSError: it could not be, or a file is in its place.
    """
    try:
        path.mkdir(mode=FOLDER_MODE)
    except FileNotFoundError:
        if path.parent == path:
            raise
        # Path.mkdir makes those above with what the umask leaves.
        make_folder(path.parent)
        make_folder(path)
    except OSError:
        # Another process may have been faster.
        if not path.is_dir():
            raise


def open_file(path: Path | str, flags: int) -> int:
    """Open a file, made if it isn't there and the flags say so: the ``opener`` of ``open``.

    Raises:
        OSError: it could not be.
    """
    return os.open(path, flags | _BINARY, FILE_MODE)


def new_file(path: Path) -> BinaryIO:
    """A file to be written, from its beginning.

    Raises:
        OSError: it can't be.
    """
    return open(path, "wb", opener=open_file)


def write_file(path: Path, data: bytes) -> None:
    """Write a file, or over it. ``adapters.whole_file`` does it in one step.

    Raises:
        OSError: it could not be.
    """
    with new_file(path) as file:
        file.write(data)


def make_file(path: Path) -> None:
    """Make an empty file for a library that opens files itself; one that is there stays as it is.

    Raises:
        OSError: it could not be.
    """
    if os.name == "nt" or path.exists():
        return
    # A link whose target isn't there yet: that is what the library would make.
    path = Path(os.path.realpath(path))
    # Under another name first. SQLite's locks are the process's: they end when any handle of the file is
    # closed, and another thread may have opened it by then.
    aside = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(8).hex()}")
    os.close(open_file(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    try:
        os.link(aside, path)
    except FileExistsError:
        pass
    except OSError:
        # A file system without hard links. Who opened the file by now may lose a lock: once, as it is made.
        with suppress(FileExistsError):
            os.close(open_file(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    finally:
        aside.unlink()


def is_open_to_others(path: Path) -> bool:
    """Whether everybody on the machine can read or change it. A group that somebody let in is let in."""
    if os.name == "nt":
        return False
    path = Path(os.path.realpath(path))
    try:
        ways = [folder.stat().st_mode & stat.S_IXOTH for folder in path.parents]
        return bool(path.stat().st_mode & stat.S_IRWXO) and all(ways)
    except OSError:
        return False
