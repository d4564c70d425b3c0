"""The effect ledger in a SQLite file, shared by the worker processes of one machine."""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from agentflow.adapters.ledger_card import LedgerCard, check_place
from agentflow.adapters.ledger_rows import (
    IS_OPEN,
    MAX_OF_WORK,
    PURGE_BATCH,
    RECORD_COLUMNS,
    all_of_work,
    conditions,
    from_microseconds,
    limited,
    microseconds,
    migrations,
    moment,
    page_of,
    place_of,
    row_of,
    storable,
    stored_effect,
)
from agentflow.adapters.ledger_stops import log_limit, stop_of_row, stop_parameters, stop_statements
from agentflow.adapters.sqlite_file import SQLiteFile
from agentflow.contracts.effects import EffectPage, EffectQuery, EffectRecord, StoredEffect
from agentflow.contracts.ledger import Adoption, LedgerIdentity
from agentflow.contracts.stops import Stop
from agentflow.contracts.wire import Sha256
from agentflow.errors import LedgerError

ResultT = TypeVar("ResultT")

_STORED = ", ".join((*RECORD_COLUMNS, "version", "created_at_us", "written_at_us"))
_VALUES = ", ".join("?" * len(RECORD_COLUMNS))
_ASSIGNMENTS = ", ".join(f"{column} = ?" for column in RECORD_COLUMNS)
_INSERT = (
    f"INSERT INTO agentflow_effects ({_STORED}) VALUES ({_VALUES}, 1, ?, ?) ON CONFLICT (key) DO NOTHING"  # noqa: S608
)
_GET = f"SELECT {_STORED} FROM agentflow_effects WHERE key = ?"  # noqa: S608
_OF_WORK = (
    f"SELECT {_STORED} FROM agentflow_effects WHERE work = ?"  # noqa: S608
    f" ORDER BY created_at_us, key LIMIT {MAX_OF_WORK + 1}"
)
_REPLACE = (
    f"UPDATE agentflow_effects SET {_ASSIGNMENTS}, version = version + 1, written_at_us = ?"  # noqa: S608
    " WHERE key = ? AND version = ?"
)
_PURGE = (
    "DELETE FROM agentflow_effects WHERE key IN"  # noqa: S608
    f" (SELECT key FROM agentflow_effects WHERE NOT {IS_OPEN} AND written_at_us < ? LIMIT {PURGE_BATCH})"
)

_STOPS = stop_statements("?", "?")

_CARD = "SELECT card FROM agentflow_ledger"
_FIRST_CARD = "INSERT INTO agentflow_ledger (one, card) VALUES (1, ?) ON CONFLICT (one) DO NOTHING"
_NEXT_CARD = "UPDATE agentflow_ledger SET card = ? WHERE card = ?"

_inherited: list[sqlite3.Connection] = []
"""Of the process that this one was forked from. SQLite forbids to use them, and to close them."""


class SQLiteLedger:
    """Fulfils ``EffectLedger``. One thread has one connection, and does one operation at a time.

    Each write waits for the disk: a refund must not be forgotten with the power. Ages are by this machine's
    clock. A network file system is no place for it: SQLite's locks don't hold there.

    A file that is moved, replaced or deleted while a worker runs is noticed, and the worker goes on with
    what is there then. Stop the workers first all the same: the newest records may be in the file's
    ``-wal`` until the last of them has closed it.
    """

    def __init__(self, path: Path, busy_timeout: timedelta = timedelta(seconds=10)) -> None:
        """Describe the ledger; the file is made when it is first used.

        Args:
            path: The file. Its folder is made too.
            busy_timeout: How long an operation waits for others' writes; they take milliseconds.
        """
        self._path = path.absolute()
        self._file = SQLiteFile(self._path, migrations("sqlite_ledger_sql"), self._give_card)
        self._busy_timeout = busy_timeout
        self._thread: ThreadPoolExecutor | None = None
        self._process = os.getpid()

    def __repr__(self) -> str:
        return f"SQLiteLedger({str(self._path)!r})"

    async def check(self) -> None:
        """Open the file, and bring it up to date.

        Raises:
            ConfigurationError: a newer version of agentflow made it, or it is a copy that no operator has
                adopted.
            LedgerError: it can't be used.
        """
        card, here = await self._do(self._card)
        check_place(card, here, str(self._path))

    async def identity(self) -> LedgerIdentity:
        """Which ledger it is."""
        card, here = await self._do(self._card)
        return card.identity(here, str(self._path))

    async def adopt(self, adoption: Adoption) -> LedgerIdentity:
        """Take an operator's word on a file that was moved, copied or restored."""

        def work(connection: sqlite3.Connection) -> tuple[LedgerCard, str] | None:
            card, here = self._card(connection)
            changed = card.adopted_by(adoption, here)
            values = (changed.model_dump_json(), card.model_dump_json())
            return (changed, here) if connection.execute(_NEXT_CARD, values).rowcount else None

        adopted = await self._do(work)
        if adopted is None:
            raise LedgerError(f"the effect ledger {self._path} was adopted by somebody else meanwhile")
        return adopted[0].identity(adopted[1], str(self._path))

    async def insert(self, record: EffectRecord) -> bool:
        """Keep a new record as version 1. False if its key is taken."""
        now = _now_us()
        return await self._write(_INSERT, (*row_of(record), now, now)) == 1

    async def get(self, key: Sha256) -> StoredEffect | None:
        """The record as it is now; ``None`` if there is none."""
        row = await self._do(lambda connection: connection.execute(_GET, (key,)).fetchone())
        return None if row is None else self._stored(row)

    async def replace(self, record: EffectRecord, *, version: int) -> bool:
        """Put a record in place of the one with its key and this version. False if that is not there."""
        return await self._write(_REPLACE, (*row_of(record), _now_us(), record.key, version)) == 1

    async def of_work(self, work: Sha256) -> tuple[StoredEffect, ...]:
        """The records of one piece of work, the oldest first."""
        rows = await self._do(lambda connection: connection.execute(_OF_WORK, (work,)).fetchall())
        return all_of_work([self._stored(row) for row in rows], str(self._path))

    async def find(self, query: EffectQuery, *, limit: int = 100, cursor: str | None = None) -> EffectPage:
        """Records, the oldest first.

        Raises:
            ValueError: the cursor is no cursor of this ledger.
            LedgerError: the file can't be read.
        """
        parts, values = conditions(query, "?")
        if cursor is not None:
            created_at_us, key = place_of(cursor, int, str)
            parts.append("(created_at_us, key) > (?, ?)")
            values += [created_at_us, storable(key)]
        where = f"WHERE {' AND '.join(parts)}" if parts else ""
        sql = f"SELECT {_STORED} FROM agentflow_effects {where} ORDER BY created_at_us, key LIMIT ?"  # noqa: S608
        values.append(limited(limit) + 1)
        rows = await self._do(lambda connection: connection.execute(sql, values).fetchall())
        return page_of([self._stored(row) for row in rows], limit)

    async def purge(self, older_than: timedelta) -> int:
        """Forget the records that are not open and were last written longer ago; answer how many."""
        before = _now_us() - microseconds(older_than)
        gone = await self._write(_STOPS.purge, (before,))
        while True:
            # A few at a time: a write of an attempt must not wait for all of them.
            gone += (batch := await self._write(_PURGE, (before,)))
            if batch < PURGE_BATCH:
                return gone

    async def stops(self, namespace: str) -> tuple[Stop, ...]:
        """The stops that hold in a Temporal namespace, the oldest first."""
        return await self._stops(_STOPS.holding, (storable(namespace),))

    async def stop(self, namespace: str, key: str, *, by: str, reason: str = "") -> bool:
        """Forbid something. False if a stop of that key holds already."""
        values = stop_parameters(namespace, key, by, reason)
        return await self._write(_STOPS.stop, (*values, _now_us())) == 1

    async def lift(self, namespace: str, key: str, *, by: str, reason: str = "") -> bool:
        """End the stop of a key. False if none holds."""
        namespace, key, by, reason = stop_parameters(namespace, key, by, reason)
        return await self._write(_STOPS.lift, (by, reason, _now_us(), namespace, key)) == 1

    async def stops_log(self, namespace: str, *, limit: int = 100) -> tuple[Stop, ...]:
        """The last stops of a namespace, those that were lifted too, the newest first."""
        return await self._stops(_STOPS.log, (storable(namespace), log_limit(limit)))

    async def close(self) -> None:
        """Close the file. A later operation opens it again."""
        if self._thread is not None and self._process == os.getpid():
            thread, self._thread = self._thread, None
            await asyncio.get_running_loop().run_in_executor(thread, self._let_go)
            thread.shutdown(wait=False)

    def _card(self, connection: sqlite3.Connection) -> tuple[LedgerCard, str]:
        """The file's card, and the place where it lies."""
        return LedgerCard.read(connection.execute(_CARD).fetchone()[0], str(self._path)), self._here()

    def _give_card(self, connection: sqlite3.Connection) -> None:
        """A file that has just been made gets its card before anything is written to it."""
        if connection.execute(_CARD).fetchone() is None:
            connection.execute(_FIRST_CARD, (LedgerCard.new(self._here()).model_dump_json(),))

    def _here(self) -> str:
        return f"inode {self._path.stat().st_ino}"

    async def _stops(self, sql: str, values: tuple[Any, ...]) -> tuple[Stop, ...]:
        rows = await self._do(lambda connection: connection.execute(sql, values).fetchall())
        return tuple(stop_of_row(row, str(self._path)) for row in rows)

    async def _write(self, sql: str, values: tuple[Any, ...]) -> int:
        return await self._do(lambda connection: connection.execute(sql, values).rowcount)

    async def _do(self, work: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        # Those that waited behind others for a lock must not wait for it as long again.
        end = time.monotonic() + self._busy_timeout.total_seconds()

        def run() -> ResultT:
            wait = timedelta(seconds=max(0.0, end - time.monotonic()))
            try:
                result = work(self._file.current(wait))
                self._file.still_there()
            except (sqlite3.Error, OSError) as error:
                self._let_go()
                raise LedgerError(f"the effect ledger {self._path} can't be used: {error}") from error
            return result

        return await asyncio.get_running_loop().run_in_executor(self._own_thread(), run)

    def _let_go(self) -> None:
        with suppress(OSError):
            self._file.close()

    def _own_thread(self) -> ThreadPoolExecutor:
        if self._process != os.getpid():
            self._process, self._thread = os.getpid(), None
            if (connection := self._file.abandon()) is not None:
                _inherited.append(connection)
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="agentflow-ledger")
        return self._thread

    def _stored(self, row: tuple[Any, ...]) -> StoredEffect:
        *values, version, created_at_us, written_at_us = row
        return stored_effect(
            values,
            version=version,
            age=from_microseconds(_now_us() - written_at_us),
            created_at=moment(created_at_us),
            written_at=moment(written_at_us),
            place=str(self._path),
        )


def _now_us() -> int:
    return time.time_ns() // 1_000
