"""The effect ledger in a SQLite file, shared by the worker processes of one machine."""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from agentflow.activity.machine_clock import Uptime
from agentflow.adapters.ledger_card import LedgerCard, adopted_meanwhile, check_place
from agentflow.adapters.ledger_rows import (
    all_of_work,
    forgettable,
    from_microseconds,
    limited,
    migrations,
    moment,
    moment_us,
    page_of,
    row_of,
    storable,
    stored_effect,
)
from agentflow.adapters.ledger_sql import effect_statements, purge_of_row, purge_parameters, purge_statements
from agentflow.adapters.ledger_stops import log_limit, stop_of_row, stop_parameters, stop_statements
from agentflow.adapters.sqlite_file import SQLiteFile, place_of_file
from agentflow.contracts.effects import EffectPage, EffectQuery, EffectRecord, StoredEffect
from agentflow.contracts.ledger import Adoption, LedgerIdentity
from agentflow.contracts.purges import MAX_PURGES, Purge
from agentflow.contracts.stops import Stop
from agentflow.contracts.wire import Sha256
from agentflow.core.durations import checked
from agentflow.errors import LedgerError, another_in_place

ResultT = TypeVar("ResultT")

_SEEN = ("created_at_us", "written_at_us", "written_boot", "written_up_us")
_EFFECTS = effect_statements(
    "?", stamps=dict.fromkeys(_SEEN, "?"), again=dict.fromkeys(_SEEN[1:], "?"), clock="", seen=_SEEN
)
_STOPS = stop_statements("?", "?")
_PURGES = purge_statements("?")

_CARD = "SELECT card FROM agentflow_ledger"
_FIRST_CARD = "INSERT INTO agentflow_ledger (one, card) VALUES (1, ?) ON CONFLICT (one) DO NOTHING"
_NEXT_CARD = "UPDATE agentflow_ledger SET card = ? WHERE card = ?"

_inherited: list[sqlite3.Connection] = []
"""Of the process that this one was forked from. SQLite forbids to use them, and to close them."""


class SQLiteLedger:
    """Fulfils ``EffectLedger``. One thread has one connection, and does one operation at a time.

    Each write waits for the disk: a refund must not be forgotten with the power. Ages are by the time since
    the machine started, which all its processes share and nobody sets; times of day are for people. A network
    file system is no place for it: SQLite's locks don't hold there, and machines' ages can't be compared.

    A file that is moved, replaced or deleted while a worker runs is noticed, and stops all writes to it: no
    new one is made in its place, and another one that is put there can be read only. The same file, put back,
    is written to again. Stop the workers first all the same: the newest records may be in the file's ``-wal``
    until the last of them has closed it.
    """

    def __init__(self, path: Path, busy_timeout: timedelta = timedelta(seconds=10)) -> None:
        """Describe the ledger; the file is made when it is first used.

        Args:
            path: The file. Its folder is made too.
            busy_timeout: How long an operation waits for others' writes; they take milliseconds.
        """
        self._path = path.absolute()
        self._file = SQLiteFile(self._path, migrations("sqlite_ledger_sql"), self._give_card)
        self._busy_timeout = checked("busy_timeout", busy_timeout)
        self._thread: ThreadPoolExecutor | None = None
        self._process = os.getpid()
        self._first: str | None = None
        self._replaced: str | None = None
        """Why nothing is written, if another ledger is in the place of the one that was written to first."""
        self._card_id = ""

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

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
            raise adopted_meanwhile(str(self._path))
        return adopted[0].identity(adopted[1], str(self._path))

    async def insert(self, record: EffectRecord) -> bool:
        """Keep a new record as version 1. False if its key is taken."""
        now = _now_us()
        return await self._write(_EFFECTS.insert, (*row_of(record), now, now, *Uptime.now())) == 1

    async def get(self, key: Sha256) -> StoredEffect | None:
        """The record as it is now; ``None`` if there is none."""
        row = await self._do(lambda connection: connection.execute(_EFFECTS.get, (key,)).fetchone())
        return None if row is None else self._stored(row)

    async def replace(self, record: EffectRecord, *, version: int) -> bool:
        """Put a record in place of the one with its key and this version. False if that is not there."""
        values = (*row_of(record), _now_us(), *Uptime.now(), record.key, version)
        return await self._write(_EFFECTS.replace, values) == 1

    async def of_work(self, work: Sha256) -> tuple[StoredEffect, ...]:
        """The records of one piece of work, the oldest first."""
        rows = await self._do(lambda connection: connection.execute(_EFFECTS.of_work, (work,)).fetchall())
        return all_of_work([self._stored(row) for row in rows], str(self._path))

    async def find(self, query: EffectQuery, *, limit: int = 100, cursor: str | None = None) -> EffectPage:
        """Records, the oldest first.

        Raises:
            ValueError: the cursor is no cursor of this ledger.
            LedgerError: the file can't be read.
        """
        sql, values = _EFFECTS.find(query, limit, cursor)
        rows = await self._do(lambda connection: connection.execute(sql, values).fetchall())
        return page_of([self._stored(row) for row in rows], limit)

    async def clock(self) -> datetime:
        """The time now, by this machine's clock."""
        return moment(_now_us())

    async def forget(self, versions: Mapping[Sha256, int]) -> int:
        """Forget records that are not open and are of these versions still; answer how many."""
        sql, values = _EFFECTS.forget(forgettable(versions))
        return await self._write(sql, values) if versions else 0

    async def forget_stops(self, namespace: str, before: datetime) -> int:
        """Forget the stops of a namespace that were lifted before a time; answer how many."""
        return await self._write(_STOPS.forget, (storable(namespace), moment_us(before)))

    async def keep_purge(self, purge: Purge) -> None:
        """Put a round of forgetting on record."""
        await self._write(_PURGES.keep, purge_parameters(purge))
        await self._write(_PURGES.trim, ())

    async def purges(self, *, limit: int = MAX_PURGES) -> tuple[Purge, ...]:
        """The rounds of forgetting on record, the newest first."""
        values = (limited(limit),)
        rows = await self._do(lambda connection: connection.execute(_PURGES.log, values).fetchall())
        return tuple(purge_of_row(row, str(self._path)) for row in rows)

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
        self._file.forget()
        self._first = self._replaced = None

    def _card(self, connection: sqlite3.Connection) -> tuple[LedgerCard, str]:
        """The file's card, and the place where it lies."""
        return LedgerCard.read(connection.execute(_CARD).fetchone()[0], str(self._path)), self._here()

    def _give_card(self, connection: sqlite3.Connection) -> None:
        """A file that has just been made gets its card before anything is written to it."""
        if connection.execute(_CARD).fetchone() is None:
            connection.execute(_FIRST_CARD, (LedgerCard.new(self._here()).model_dump_json(),))
        card, _ = self._card(connection)
        self._card_id, self._replaced = card.id, None
        known = LedgerIdentity(id=card.id, stands_for=card.stands_for)
        if self._first is not None and not known.is_still(self._first):
            self._replaced = another_in_place(str(self._path), self._first, card.id)

    def _here(self) -> str:
        return place_of_file(self._path)

    async def _stops(self, sql: str, values: tuple[Any, ...]) -> tuple[Stop, ...]:
        rows = await self._do(lambda connection: connection.execute(sql, values).fetchall())
        return tuple(stop_of_row(row, str(self._path)) for row in rows)

    async def _write(self, sql: str, values: Sequence[Any]) -> int:
        def work(connection: sqlite3.Connection) -> int:
            if self._replaced is not None:
                # An operator may have let it stand for the other one meanwhile.
                self._give_card(connection)
            if self._replaced is not None:
                raise LedgerError(self._replaced)
            self._first = self._first or self._card_id
            return connection.execute(sql, values).rowcount

        return await self._do(work)

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
        *values, version, created_at_us, written_at_us, boot, up_us = row
        # Nothing is sure of a record that an earlier version of agentflow wrote.
        age_us = 0 if up_us is None else Uptime.now().us_ago(Uptime(boot, up_us))
        return stored_effect(
            values,
            version=version,
            age=from_microseconds(age_us),
            created_at=moment(created_at_us),
            written_at=moment(written_at_us),
            place=str(self._path),
        )


def _now_us() -> int:
    return time.time_ns() // 1_000
