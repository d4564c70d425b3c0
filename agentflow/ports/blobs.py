"""The door to the transcript's contents."""

from collections.abc import Mapping
from typing import Protocol

from agentflow.contracts.wire import Sha256


class BlobStore(Protocol):
    """Content by name. A cache that may be lost: history remains the source of truth."""

    async def get(self, root: Sha256, name: Sha256) -> bytes | None:
        """The bytes put under ``name`` for the run ``root``, or ``None``."""
        ...

    async def put(self, root: Sha256, name: Sha256, data: bytes) -> None:
        """Keep ``data`` unless the name is taken; the same name always means the same data.

        Raises:
            OSError: the store can't be written. Callers go on: the store is a cache.
        """
        ...

    async def put_all(self, root: Sha256, blobs: Mapping[Sha256, bytes]) -> None:
        """Keep several blobs of one run, each as ``put`` does.

        Raises:
            OSError: one of them can't be written.
        """
        ...
