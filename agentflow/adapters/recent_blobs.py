"""What a worker has just kept, at hand: most of it is read once, within the second, by the same worker."""

from collections.abc import Mapping

from agentflow.adapters.memory_blobs import MemoryBlobStore
from agentflow.contracts.wire import Sha256
from agentflow.ports.blobs import BlobStore

MAX_BYTES = 4 * 1024 * 1024


class RecentBlobs:
    """A blob store that remembers, up to a bound, what went into it through this process."""

    def __init__(self, store: BlobStore, max_bytes: int = MAX_BYTES) -> None:
        self._store = store
        self._recent = MemoryBlobStore(max_bytes)

    async def get(self, root: Sha256, name: Sha256) -> bytes | None:
        """The bytes, or ``None``."""
        recent = await self._recent.get(root, name)
        return recent if recent is not None else await self._store.get(root, name)

    async def put(self, root: Sha256, name: Sha256, data: bytes) -> None:
        """Keep the bytes.

        Raises:
            OSError: the store can't be written. This process has them all the same, for a while.
        """
        await self.put_all(root, {name: data})

    async def put_all(self, root: Sha256, blobs: Mapping[Sha256, bytes]) -> None:
        """Keep several blobs of one run.

        Raises:
            OSError: one of them can't be written.
        """
        await self._recent.put_all(root, blobs)
        await self._store.put_all(root, blobs)
