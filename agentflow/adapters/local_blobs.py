"""Blob stores on this machine: a directory shared by its workers, or this process's memory."""

import asyncio
import os
import tempfile
from collections import OrderedDict
from pathlib import Path

from agentflow.contracts.wire import Sha256


class DirectoryBlobStore:
    """One file a blob, one directory a run: ``<directory>/<root>/<name>``.

    A file appears under its name only when it is whole (written aside, then renamed), so a killed
    worker leaves no half blob.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def get(self, root: Sha256, name: Sha256) -> bytes | None:
        """The bytes, or ``None``: unreadable is as good as lost."""
        try:
            return await asyncio.to_thread((self._directory / root / name).read_bytes)
        except OSError:
            return None

    async def put(self, root: Sha256, name: Sha256, data: bytes) -> None:
        """Keep the bytes. What is there under the name already, and whole, stays.

        Raises:
            OSError: the directory can't be written.
        """
        await asyncio.to_thread(self._write, self._directory / root, name, data)

    @staticmethod
    def _write(folder: Path, name: str, data: bytes) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            # Damaged, it would be missed by every worker again: a resend has to mend it.
            if (folder / name).read_bytes() == data:
                return
        except OSError:
            pass
        handle, aside = tempfile.mkstemp(dir=folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.replace(aside, folder / name)
        except OSError:
            Path(aside).unlink(missing_ok=True)
            raise


class MemoryBlobStore:
    """Blobs of this process, the latest ones up to a bound. Lost with it, which costs a resend."""

    def __init__(self, max_bytes: int = 64 * 1024 * 1024) -> None:
        self._blobs: OrderedDict[tuple[Sha256, Sha256], bytes] = OrderedDict()
        self._bytes = 0
        self._max_bytes = max_bytes

    async def get(self, root: Sha256, name: Sha256) -> bytes | None:
        """The bytes, or ``None``."""
        return self._blobs.get((root, name))

    async def put(self, root: Sha256, name: Sha256, data: bytes) -> None:
        """Keep the bytes unless the name is taken; the oldest make room."""
        if (root, name) in self._blobs:
            return
        self._blobs[root, name] = data
        self._bytes += len(data)
        while self._bytes > self._max_bytes and len(self._blobs) > 1:
            _, oldest = self._blobs.popitem(last=False)
            self._bytes -= len(oldest)
