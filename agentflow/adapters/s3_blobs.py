"""Blobs in S3, for the workers of several machines."""

import asyncio
from collections.abc import Mapping

import structlog

from agentflow.adapters.s3_client import S3Bucket, S3Error
from agentflow.contracts.wire import Sha256
from agentflow.telemetry.logs import failure

_LOG = structlog.get_logger("agentflow")


class S3BlobStore:
    """One object a blob: ``<prefix>/<root>/<name>``, put only if it is not there.

    Give each Temporal namespace a prefix of its own: then a policy or a lifecycle rule can speak of it.
    """

    def __init__(self, bucket: S3Bucket, prefix: str = "") -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    async def check(self) -> None:
        """See whether the bucket can be used; a worker calls it when it starts.

        Raises:
            ConfigurationError: there is no such bucket, or these credentials may not use it.
        """
        try:
            await self._bucket.check()
        except S3Error as error:
            # The store may be lost, and so it may be away: runs go on without it.
            _LOG.warning("blob store can't be reached", **failure(error))

    async def get(self, root: Sha256, name: Sha256) -> bytes | None:
        """The bytes, or ``None``: unreachable is as good as lost."""
        try:
            return await self._bucket.get(self._key(root, name))
        except S3Error as error:
            _LOG.warning("blob not read", **failure(error))
            return None

    async def put(self, root: Sha256, name: Sha256, data: bytes) -> None:
        """Keep the bytes. What is there under the name already, and whole, stays.

        Raises:
            OSError: they can't be written.
        """
        key = self._key(root, name)
        if await self._bucket.put(key, data, if_absent=True):
            return
        # Damaged, it would be missed by every worker again: what is put now has to mend it.
        if await self._bucket.get(key) != data:
            await self._bucket.put(key, data)

    async def put_all(self, root: Sha256, blobs: Mapping[Sha256, bytes]) -> None:
        """Keep several blobs of one run, at once.

        Raises:
            OSError: one of them can't be written.
        """
        await asyncio.gather(*(self.put(root, name, data) for name, data in blobs.items()))

    def _key(self, root: Sha256, name: Sha256) -> str:
        return f"{self._prefix}{root}/{name}"
