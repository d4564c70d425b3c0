"""A blob store of a user's own, held to what a cache may do: lose things, and nothing else."""

from collections.abc import Mapping
from typing import cast

import structlog

from agentflow.activity.bounded import answered, close_unawaited
from agentflow.contracts.wire import Sha256
from agentflow.ports.blobs import BlobStore
from agentflow.telemetry.logs import failure

_LOG = structlog.get_logger("agentflow")

BLOB_SECONDS = 60.0
"""For one call. The stores of agentflow have shorter limits of their own."""


class BlobCalls:
    """A blob store whose every failure is an ``OSError``, and whose every odd answer is none."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self._name = type(store).__name__

    async def get(self, root: Sha256, name: Sha256) -> bytes | None:
        """The bytes; ``None`` also where what the store answers, or raises, is nothing that a store should.

        Raises:
            OSError: the store can't be read now.
        """
        try:
            found = cast(object, await answered(lambda: self._store.get(root, name), BLOB_SECONDS))
        except Exception as error:
            # What takes too long is an OSError to Python; it is no word of the store's.
            if isinstance(error, OSError) and not isinstance(error, TimeoutError):
                raise
            _LOG.warning("blob store failed", store=self._name, **failure(error))
            return None
        if found is None or type(found) is bytes:
            return found
        close_unawaited(found)
        _LOG.warning("blob store answered no bytes", store=self._name, kind=type(found).__name__)
        return None

    async def put(self, root: Sha256, name: Sha256, data: bytes) -> None:
        """Keep the bytes.

        Raises:
            OSError: they can't be kept.
        """
        await self.put_all(root, {name: data})

    async def put_all(self, root: Sha256, blobs: Mapping[Sha256, bytes]) -> None:
        """Keep several blobs of one run.

        Raises:
            OSError: one of them can't be kept.
        """
        try:
            close_unawaited(await answered(lambda: self._store.put_all(root, blobs), BLOB_SECONDS))
        except OSError:
            raise
        except Exception as error:
            raise OSError(f"{self._name} failed: {type(error).__name__}") from error
