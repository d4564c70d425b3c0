"""Bundles in a bucket with Object Lock: nobody can change or delete them before their time.

PREFIX/EXPORT/FILE    one object for each file of a bundle, ``digest.json`` the last: where it is, all is
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from agentflow.adapters.s3_client import S3Bucket, S3Error
from agentflow.errors import AuditError

LockMode = Literal["COMPLIANCE", "GOVERNANCE"]
"""Who can lift it. ``COMPLIANCE``: nobody, the account's owner included. ``GOVERNANCE``: some roles."""

AT_ONCE = 8
_HASH = "sha256"
"""Metadata of each object."""


class S3Vault:
    """A place for bundles under one prefix of a bucket."""

    def __init__(self, bucket: S3Bucket, prefix: str, mode: LockMode = "COMPLIANCE") -> None:
        """Describe it. The bucket must have been made with Object Lock."""
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._mode: LockMode = mode

    def place_of(self, export: str) -> str:
        """Where a bundle is."""
        return f"s3://{self._bucket.name}/{self._prefix}{export}"

    async def put(
        self,
        export: str,
        directory: Path,
        files: dict[str, datetime],
        progress: Callable[[int], None] = lambda number: None,
    ) -> int:
        """Upload what isn't there yet; whoever was cut off goes on where they were.

        Args:
            export: The bundle's id.
            directory: The bundle.
            files: Its files, each with the time until which it is locked; the last one goes last.
            progress: Is told how many are there.

        Returns:
            How many were written.

        Raises:
            AuditError: one is there already with something else in it, or the bucket doesn't lock.
            S3Error: S3 can't be reached, or refused.
        """
        *first, (last, last_until) = files.items()
        free, done, written = asyncio.Semaphore(AT_ONCE), 0, 0

        async def one(name: str, until: datetime) -> None:
            nonlocal done, written
            async with free:
                is_new = await self._put(export, directory, name, until)
            # Not in one line with the await: what was read before it would be written back.
            written += is_new
            done += 1
            progress(done)

        try:
            async with asyncio.TaskGroup() as group:
                for name, until in first:
                    group.create_task(one(name, until))
        except ExceptionGroup as failed:
            # The others were cut off with it; one of them tells what is wrong.
            raise failed.exceptions[0] from None
        await one(last, last_until)
        return written

    async def fetch(self, export: str, name: str) -> bytes:
        """A file of a bundle.

        Raises:
            AuditError: there is none.
            S3Error: S3 can't be reached, or refused.
        """
        data = await self._bucket.get(self._key(export, name))
        if data is None:
            raise AuditError(f"{self.place_of(export)} has no {name}")
        return data

    async def all_of(self, name: str) -> list[bytes]:
        """That file of all bundles, with versions that others were written over, or that were marked deleted.

        Raises:
            S3Error: S3 can't be reached, or refused.
        """
        found: list[bytes] = []
        for key, version in await self._bucket.versions(self._prefix):
            parts = key.removeprefix(self._prefix).split("/")
            if len(parts) == 2 and parts[1] == name:
                data = await self._bucket.get(key, version)
                found += [] if data is None else [data]
        return found

    async def _put(self, export: str, directory: Path, name: str, until: datetime) -> bool:
        key, data = self._key(export, name), await asyncio.to_thread((directory / name).read_bytes)
        digest = sha256(data).hexdigest()
        lock = {"ObjectLockMode": self._mode, "ObjectLockRetainUntilDate": until.astimezone(UTC)}
        is_new = await self._bucket.put(key, data, if_absent=True, Metadata={_HASH: digest}, **lock)
        there = await self._bucket.head(key)
        if there is None:
            raise S3Error(f"{self._bucket.place}, key {key}: it was written, and isn't there")
        self._check(there, key, digest, until)
        return is_new

    def _check(self, there: dict[str, Any], key: str, digest: str, until: datetime) -> None:
        if there.get("Metadata", {}).get(_HASH) != digest:
            raise AuditError(f"{self._bucket.place}, key {key}: there is something else already")
        locked: datetime | None = there.get("ObjectLockRetainUntilDate")
        # Servers keep whole seconds.
        if (
            there.get("ObjectLockMode") != self._mode
            or locked is None
            or (until - locked).total_seconds() > 1
        ):
            raise AuditError(
                f"{self._bucket.place}, key {key}: it isn't locked until {until.isoformat()}; the bucket "
                "must be made with Object Lock"
            )

    def _key(self, export: str, name: str) -> str:
        return f"{self._prefix}{export}/{name}"
