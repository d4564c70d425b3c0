"""Blobs in this process's memory."""

from collections import OrderedDict
from collections.abc import Mapping

from agentflow.contracts.wire import Sha256


class MemoryBlobStore:
    """Blobs of this process, the latest ones up to a bound. Lost with it: then history is read."""

    def __init__(self, max_bytes: int = 64 * 1024 * 1024) -> None:
        self._blobs: OrderedDict[tuple[Sha256, Sha256], bytes] = OrderedDict()
        self._bytes = 0
        self._max_bytes = max_bytes

    async def get(self, root: Sha256, name: Sha256) -> bytes | None:
        """The bytes, or ``None``."""
        return self._blobs.get((root, name))

    async def put(self, root: Sha256, name: Sha256, data: bytes) -> None:
        """Keep the bytes; the oldest make room."""
        self._bytes += len(data) - len(self._blobs.get((root, name), b""))
        self._blobs[root, name] = data
        while self._bytes > self._max_bytes and len(self._blobs) > 1:
            _, oldest = self._blobs.popitem(last=False)
            self._bytes -= len(oldest)

    async def put_all(self, root: Sha256, blobs: Mapping[Sha256, bytes]) -> None:
        """Keep several blobs."""
        for name, data in blobs.items():
            await self.put(root, name, data)
