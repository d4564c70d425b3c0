"""A disk that is full in the middle of a write, and a lock that somebody holds: for a ledger in a file."""

import asyncio
import random
import resource
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

from agentflow.contracts.effects import EffectRecord
from agentflow.ports.ledger import EffectLedger

_FULL = 0.35
"""How likely the disk is full in a write."""
_LONGEST_WRITE = 12_000
"""Bytes that a write of a record adds to the log of a SQLite file, at most."""


class FullDisk:
    """Fulfils ``EffectLedger`` around a SQLite ledger: some of its writes end after so many bytes.

    The limit is the process's, and holds for no longer than the write.
    """

    def __init__(self, ledger: EffectLedger, path: Path, seed: str) -> None:
        self._ledger = ledger
        self._log = path.with_name(f"{path.name}-wal")
        self._random = random.Random(seed)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    async def insert(self, record: EffectRecord) -> bool:
        """Keep a new record, if there is room."""
        async with self._limited():
            return await self._ledger.insert(record)

    async def replace(self, record: EffectRecord, *, version: int) -> bool:
        """Change a record, if there is room."""
        async with self._limited():
            return await self._ledger.replace(record, version=version)

    @asynccontextmanager
    async def _limited(self) -> AsyncGenerator[None]:
        if self._random.random() > _FULL:
            yield
            return
        size = self._log.stat().st_size if self._log.exists() else 0
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + self._random.randrange(_LONGEST_WRITE), hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


async def hold_locks(path: Path, seed: int) -> None:
    """Lock a SQLite file against writers now and then, for longer than some of them wait."""
    chance = random.Random(f"{seed}/locks")
    while True:
        await asyncio.sleep(chance.uniform(0.5, 3))
        with suppress(sqlite3.Error), closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            await asyncio.sleep(chance.uniform(0.5, 4))
            connection.execute("ROLLBACK")
