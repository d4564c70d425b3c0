"""Files that are there as a whole or not at all, whatever dies while they are written."""

import os
import tempfile
from pathlib import Path

from agentflow.private_files import make_folder


def write_whole(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write a file, or replace it, in one step that is on the disk when this returns.

    Args:
        path: Where; its folder is made.
        data: What.
        mode: Who may read it.

    Raises:
        OSError: it could not be; what was there before still is.
    """
    make_folder(path.parent)
    # Aside in the same folder: a name can be moved only within a file system.
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(aside).chmod(mode)
        Path(aside).replace(path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_tree(directory: Path) -> None:
    """Have a directory with all that is in it on the disk.

    Raises:
        OSError: it could not be.
    """
    for folder, _, names in os.walk(directory):
        for name in names:
            # To be written: some systems flush no other handle.
            handle = os.open(os.path.join(folder, name), os.O_RDWR)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        sync_folder(Path(folder))


def sync_folder(folder: Path) -> None:
    """Have the directory's entry for a new file on the disk; not every system can."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
