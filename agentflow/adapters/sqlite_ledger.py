"""The effect ledger in a SQLite file, shared by the worker processes of one machine."""

import asyncio
import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeVar

from agentflow.contracts.wire import Sha256
from agentflow.errors import EffectConflictError, LedgerError
from agentflow.ports.ledger import LedgerEntry

ResultT = TypeVar("ResultT")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS effects (
    key TEXT PRIMARY KEY,
    tool TEXT NOT NULL,
    arguments_hash TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('intended', 'done', 'failed')),
    result BLOB,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    ended_at TEXT
) STRICT
"""


class SQLiteLedger:
    """Fulfils ``EffectLedger``. Each operation is one transaction of one short-lived connection."""

    def __init__(self, path: Path, busy_timeout_seconds: float = 10.0) -> None:
        self._path = path
        self._busy_timeout = busy_timeout_seconds

    async def begin(self, key: Sha256, tool: str, arguments_hash: Sha256) -> LedgerEntry:
        """Record the intent unless there is a record; answer what was there.

        Raises:
            EffectConflictError: the key is taken by a call with other arguments.
            LedgerError: the file can't be read or written.
        """

        def claim(connection: sqlite3.Connection) -> LedgerEntry:
            inserted = connection.execute(
                "INSERT INTO effects (key, tool, arguments_hash, state) VALUES (?, ?, ?, 'intended')"
                " ON CONFLICT (key) DO NOTHING",
                (key, tool, arguments_hash),
            ).rowcount
            if inserted:
                return LedgerEntry("new")
            row = connection.execute(
                "SELECT arguments_hash, state, result FROM effects WHERE key = ?", (key,)
            ).fetchone()
            if row[0] != arguments_hash:
                raise EffectConflictError(
                    f"ledger key {key} belongs to a call of {tool} with other arguments"
                )
            return LedgerEntry(row[1], row[2])

        return await self._transaction(claim)

    async def finish(self, key: Sha256, state: Literal["done", "failed"], result: bytes) -> None:
        """Record how the call ended; the first record stays.

        Raises:
            LedgerError: the file can't be written.
        """

        def record(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE effects SET state = ?, result = ?, ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
                " WHERE key = ? AND state = 'intended'",
                (state, result, key),
            )

        await self._transaction(record)

    async def withdraw(self, key: Sha256) -> None:
        """Forget an intent.

        Raises:
            LedgerError: the file can't be written.
        """

        def forget(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM effects WHERE key = ? AND state = 'intended'", (key,))

        await self._transaction(forget)

    async def _transaction(self, work: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        def run() -> ResultT:
            try:
                with self._connected() as connection:
                    return work(connection)
            except (sqlite3.Error, OSError) as error:
                raise LedgerError(f"the effect ledger {self._path} can't be used: {error}") from error

        return await asyncio.to_thread(run)

    @contextmanager
    def _connected(self) -> Generator[sqlite3.Connection]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=self._busy_timeout, isolation_level=None)
        try:
            # No WAL: switching a new file to it fails at once, busy time-out or not, when two workers do.
            # A refund must not be forgotten with the power: wait for the disk.
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(_SCHEMA)
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
        finally:
            connection.close()
