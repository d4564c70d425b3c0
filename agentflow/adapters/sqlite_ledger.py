"""The effect ledger in a SQLite file, shared by the worker processes of one machine."""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from agentflow.adapters.ledger_rows import (
    IS_OPEN,
    RECORD_COLUMNS,
    conditions,
    cursor_after,
    microseconds,
    migrations,
    moment,
    place_of,
    record_of,
    row_of,
)
from agentflow.contracts.effects import EffectPage, EffectQuery, EffectRecord, StoredEffect
from agentflow.contracts.wire import Sha256
from agentflow.errors import ConfigurationError, LedgerError

ResultT = TypeVar("ResultT")

_COLUMNS = ", ".join(RECORD_COLUMNS)
_VALUES = ", ".join("?" * len(RECORD_COLUMNS))
_ASSIGNMENTS = ", ".join(f"{column} = ?" for column in RECORD_COLUMNS)
_STORED = f"{_COLUMNS}, version, created_at_us, written_at_us"
_INSERT = (
    f"INSERT INTO agentflow_effects ({_STORED}) VALUES ({_VALUES}, 1, ?, ?) ON CONFLICT (key) DO NOTHING"  # noqa: S608
)
_REPLACE = (
    f"UPDATE agentflow_effects SET {_ASSIGNMENTS}, version = version + 1, written_at_us = ?"  # noqa: S608
    " WHERE key = ? AND version = ?"
)


class SQLiteLedger:
    """Fulfils ``EffectLedger``. One thread has one connection, and does one operation at a time.

    The file is in WAL mode, and each write waits for the disk: a refund must not be forgotten with the
    power. Ages are by this machine's clock. A network file system is no place for it: SQLite's locks don't
    hold there.
    """

    def __init__(self, path: Path, busy_timeout: timedelta = timedelta(seconds=10)) -> None:
        """Describe the ledger; the file is made when it is first used.

        Args:
            path: The file. Its folder is made too.
            busy_timeout: How long an operation waits for another process's write; they take milliseconds.
        """
        self._path = path
        self._busy_timeout = busy_timeout
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="agentflow-ledger")
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None

    def __repr__(self) -> str:
        return f"SQLiteLedger({str(self._path)!r})"

    async def check(self) -> None:
        """Open the file, and bring it up to date.

        Raises:
            ConfigurationError: a newer version of agentflow made it.
            LedgerError: it can't be used.
        """
        await self._do(lambda _: None)

    async def insert(self, record: EffectRecord) -> bool:
        """Keep a new record as version 1. False if its key is taken."""
        now = _now_us()
        return await self._write(_INSERT, (*row_of(record), now, now)) == 1

    async def get(self, key: Sha256) -> StoredEffect | None:
        """The record as it is now; ``None`` if there is none."""

        def look(connection: sqlite3.Connection) -> StoredEffect | None:
            row = connection.execute(
                f"SELECT {_STORED} FROM agentflow_effects WHERE key = ?",  # noqa: S608
                (key,),
            ).fetchone()
            return None if row is None else _stored(row)

        return await self._do(look)

    async def replace(self, record: EffectRecord, *, version: int) -> bool:
        """Put a record in place of the one with its key and this version. False if that is not there."""
        return await self._write(_REPLACE, (*row_of(record), _now_us(), record.key, version)) == 1

    async def remove(self, key: Sha256, *, version: int) -> bool:
        """Forget the record with this key and version. False if that is not there."""
        sql = "DELETE FROM agentflow_effects WHERE key = ? AND version = ?"
        return await self._write(sql, (key, version)) == 1

    async def find(self, query: EffectQuery, *, limit: int = 100, cursor: str | None = None) -> EffectPage:
        """Records, the oldest first.

        Raises:
            ValueError: the cursor is no cursor of this ledger.
            LedgerError: the file can't be read.
        """
        parts, values = conditions(query, "?")
        if cursor is not None:
            parts.append("(created_at_us, key) > (?, ?)")
            values += place_of(cursor, int, str)
        where = f"WHERE {' AND '.join(parts)}" if parts else ""
        sql = f"SELECT {_STORED} FROM agentflow_effects {where} ORDER BY created_at_us, key LIMIT ?"  # noqa: S608

        def look(connection: sqlite3.Connection) -> list[StoredEffect]:
            return [_stored(row) for row in connection.execute(sql, (*values, limit + 1))]

        found = await self._do(look)
        page = found[:limit]
        if len(found) <= limit:
            return EffectPage(effects=tuple(page))
        last = page[-1]
        after = cursor_after(microseconds(last.created_at - moment(0)), last.record.key)
        return EffectPage(effects=tuple(page), cursor=after)

    async def purge(self, older_than: timedelta) -> int:
        """Forget the records that are not open and were last written longer ago; answer how many."""
        sql = f"DELETE FROM agentflow_effects WHERE NOT {IS_OPEN} AND written_at_us < ?"  # noqa: S608
        return await self._write(sql, (_now_us() - microseconds(older_than),))

    async def close(self) -> None:
        """Close the file. A later operation opens it again."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)

    async def _write(self, sql: str, values: tuple[Any, ...]) -> int:
        return await self._do(lambda connection: connection.execute(sql, values).rowcount)

    async def _do(self, work: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        def run() -> ResultT:
            try:
                return work(self._current())
            except (sqlite3.Error, OSError) as error:
                self._disconnect()
                raise LedgerError(f"the effect ledger {self._path} can't be used: {error}") from error

        return await asyncio.get_running_loop().run_in_executor(self._thread, run)

    def _current(self) -> sqlite3.Connection:
        """The connection, if it is still to the file of that name: one that was moved away is no ledger."""
        if self._connection is not None and self._opened != _identity(self._path):
            self._disconnect()
        if self._connection is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = self._connect()
            self._opened = _identity(self._path)
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        # isolation_level=None: each statement is a transaction of its own, unless we say otherwise.
        timeout = self._busy_timeout.total_seconds()
        connection = sqlite3.connect(self._path, timeout=timeout, isolation_level=None)
        try:
            self._enter_wal(connection)
            connection.execute("PRAGMA synchronous=FULL")
            self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _enter_wal(self, connection: sqlite3.Connection) -> None:
        """Two that switch a new file at once don't wait for each other: SQLite sees a deadlock in it."""
        end = time.monotonic() + self._busy_timeout.total_seconds()
        while True:
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > end:
                    raise
            time.sleep(0.01)

    def _migrate(self, connection: sqlite3.Connection) -> None:
        scripts = migrations("sqlite_ledger_sql")
        if _version(connection) == len(scripts):
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Another process may have done it while this one waited.
            made = _version(connection)
            if made > len(scripts):
                raise ConfigurationError(
                    f"the effect ledger {self._path} is of version {made}, this agentflow knows "
                    f"{len(scripts)}: upgrade agentflow-temporal"
                )
            for number, script in enumerate(scripts[made:], start=made + 1):
                for statement in script.split(";\n"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise

    def _disconnect(self) -> None:
        connection, self._connection, self._opened = self._connection, None, None
        if connection is not None:
            with closing(connection):
                pass


def _stored(row: tuple[Any, ...]) -> StoredEffect:
    *values, version, created_at_us, written_at_us = row
    return StoredEffect(
        record=record_of(tuple(values)),
        version=version,
        age=timedelta(microseconds=max(0, _now_us() - written_at_us)),
        created_at=moment(created_at_us),
        written_at=moment(written_at_us),
    )


def _version(connection: sqlite3.Connection) -> int:
    return connection.execute("PRAGMA user_version").fetchone()[0]


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _now_us() -> int:
    return time.time_ns() // 1_000
