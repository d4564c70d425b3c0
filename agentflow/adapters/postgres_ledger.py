"""The effect ledger in a PostgreSQL table, for workers on any number of machines. Extra: ``postgres``."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from agentflow.adapters.ledger_card import LedgerCard, adopted_meanwhile, check_place, place_with_timeline
from agentflow.adapters.ledger_rows import (
    all_of_work,
    forgettable,
    from_microseconds,
    limited,
    moment,
    moment_us,
    named_migrations,
    page_of,
    row_of,
    storable,
    stored_effect,
)
from agentflow.adapters.ledger_sql import effect_statements, purge_of_row, purge_parameters, purge_statements
from agentflow.adapters.ledger_stops import log_limit, stop_of_row, stop_parameters, stop_statements
from agentflow.contracts.effects import EffectPage, EffectQuery, EffectRecord, StoredEffect
from agentflow.contracts.ledger import Adoption, LedgerIdentity
from agentflow.contracts.purges import MAX_PURGES, Purge
from agentflow.contracts.stops import Stop
from agentflow.contracts.wire import Sha256
from agentflow.errors import ConfigurationError, LedgerError, MissingExtraError

try:
    import psycopg
    from psycopg import AsyncConnection
    from psycopg.rows import TupleRow

    from agentflow.adapters.postgres_server import SET_UP, PostgresServer
except ImportError as _missing:
    raise MissingExtraError("agentflow.adapters.postgres_ledger", "postgres") from _missing

Row = Sequence[Any]

# The server's clock, also within a statement that had to wait: workers' clocks may differ.
_NOW = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
_EFFECTS = effect_statements(
    "%s",
    stamps={"created_at_us": "clock.now_us", "written_at_us": "clock.now_us"},
    again={"written_at_us": _NOW},
    clock=f"FROM (SELECT {_NOW} AS now_us) AS clock",
    seen=("created_at_us", "written_at_us", f"{_NOW} - written_at_us"),
)
_STOPS = stop_statements("%s", _NOW)
_PURGES = purge_statements("%s")
_FIRST_CARD = "INSERT INTO agentflow_ledger (one, card) VALUES (1, %s) ON CONFLICT (one) DO NOTHING"
_NEXT_CARD = "UPDATE agentflow_ledger SET card = %s WHERE card = %s"
_PLACE = (
    # Other numbers when a dump was restored into another database, or into the same one.
    "(SELECT oid FROM pg_database WHERE datname = current_database()) || ' ' ||"
    " 'agentflow_effects'::regclass::oid",
    # Another one on another server, unless that is a copy of this one's files.
    "(SELECT system_identifier FROM pg_control_system())",
    # Another one after files were restored to a point in time, and after a standby took over.
    "substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)",
)
"""Of the ledger, the parts that every server tells first."""
_VERSION = (
    "SELECT CASE WHEN to_regclass('agentflow_effects') IS NULL THEN 0"
    " WHEN to_regclass('agentflow_stops') IS NULL THEN least(coalesce(max(version), 0), 1)"
    " WHEN to_regclass('agentflow_ledger') IS NULL THEN least(coalesce(max(version), 0), 3)"
    " WHEN to_regclass('agentflow_purges') IS NULL THEN least(coalesce(max(version), 0), 4)"
    " ELSE coalesce(max(version), 0) END FROM agentflow_migrations"
)
_VERSIONS = (
    "CREATE TABLE IF NOT EXISTS agentflow_migrations"
    " (version int PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
)
_APPLIED = (
    "INSERT INTO agentflow_migrations (version, name) VALUES (%s, %s)"
    " ON CONFLICT (version) DO UPDATE SET name = excluded.name, applied_at = excluded.applied_at"
)
_NOT_TOLD = (
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.FeatureNotSupported,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.ObjectNotInPrerequisiteState,
)
"""What a managed server may answer to a question about itself."""
_MIGRATION_LOCK = 0x6167656E74666C6F  # "agentflo"


class PostgresLedger:
    """Fulfils ``EffectLedger``. All times and ages are by the server's clock.

    Every operation is one statement, and its commit waits for the disk. Poolers such as PgBouncer may be in
    between.
    """

    def __init__(
        self, conninfo: str, *, pool_size: int = 5, timeout: timedelta = timedelta(seconds=5)
    ) -> None:
        """Describe the ledger; nothing is connected yet.

        Args:
            conninfo: As libpq reads it: ``postgresql://user@host/database``, or ``host=… dbname=…``.
            pool_size: How many connections this process may have at most.
            timeout: How long to wait for a connection, and then for the statement.

        Raises:
            ConfigurationError: libpq can't read it.
        """
        self._server = PostgresServer(conninfo, pool_size=pool_size, timeout=timeout)
        self._place = self._server.place
        self._tellable = _PLACE

    def __repr__(self) -> str:
        return f"PostgresLedger({self._place!r})"

    async def check(self) -> None:
        """See whether the tables are there, and of this version.

        Raises:
            ConfigurationError: they aren't; the text says what to do.
            LedgerError: the server can't be reached.
        """
        async with self._server.failures_told():
            try:
                made = await self._server.do(_version)
            except psycopg.errors.UndefinedTable:
                made = 0
        if made != len(named_migrations("postgres_ledger_sql")):
            raise self._of_another_version(made)
        card, here = await self._card()
        check_place(card, here, self._place)

    async def migrate(self) -> list[str]:
        """Make the tables, or bring them up to date. Any number of processes may do it at once.

        Returns:
            The names of the migrations that were run.

        Raises:
            ConfigurationError: a newer version of agentflow made them.
            LedgerError: it could not be done, and nothing was.
        """

        async def work(connection: AsyncConnection[TupleRow]) -> list[str]:
            async with connection.transaction():
                await connection.execute("SET LOCAL statement_timeout = 0")
                await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATION_LOCK,))
                await connection.execute(_VERSIONS)
                return await self._migrate(connection)

        async with self._server.failures_told():
            done = await self._server.do(work, bounded=False)
        _, *place = await self._with_place("1")
        await self._server.write(_FIRST_CARD, (LedgerCard.new(_lying_at(place)).model_dump_json(),))
        return done

    async def identity(self) -> LedgerIdentity:
        """Which ledger it is."""
        card, here = await self._card()
        return card.identity(here, self._place)

    async def adopt(self, adoption: Adoption) -> LedgerIdentity:
        """Take an operator's word on a database that was restored, or whose standby took over."""
        card, here = await self._card()
        changed = card.adopted_by(adoption, here)
        if not await self._server.write(_NEXT_CARD, (changed.model_dump_json(), card.model_dump_json())):
            raise adopted_meanwhile(self._place)
        return changed.identity(here, self._place)

    async def insert(self, record: EffectRecord) -> bool:
        """Keep a new record as version 1. False if its key is taken."""
        return await self._server.write(_EFFECTS.insert, row_of(record)) == 1

    async def get(self, key: Sha256) -> StoredEffect | None:
        """The record as it is now; ``None`` if there is none."""
        rows = await self._server.read(_EFFECTS.get, (key,))
        return self._stored(rows[0]) if rows else None

    async def replace(self, record: EffectRecord, *, version: int) -> bool:
        """Put a record in place of the one with its key and this version. False if that is not there."""
        return await self._server.write(_EFFECTS.replace, (*row_of(record), record.key, version)) == 1

    async def of_work(self, work: Sha256) -> tuple[StoredEffect, ...]:
        """The records of one piece of work, the oldest first."""
        rows = await self._server.read(_EFFECTS.of_work, (work,))
        return all_of_work([self._stored(row) for row in rows], self._place)

    async def find(self, query: EffectQuery, *, limit: int = 100, cursor: str | None = None) -> EffectPage:
        """Records, the oldest first.

        Raises:
            ValueError: the cursor is no cursor of this ledger.
            LedgerError: the table can't be read.
        """
        rows = await self._server.read(*_EFFECTS.find(query, limit, cursor))
        return page_of([self._stored(row) for row in rows], limit)

    async def clock(self) -> datetime:
        """The time now, by the server's clock."""
        ((now_us,),) = await self._server.read(f"SELECT {_NOW}")
        return moment(now_us)

    async def forget(self, versions: Mapping[Sha256, int]) -> int:
        """Forget records that are not open and are of these versions still; answer how many."""
        return await self._server.write(*_EFFECTS.forget(forgettable(versions))) if versions else 0

    async def forget_stops(self, namespace: str, before: datetime) -> int:
        """Forget the stops of a namespace that were lifted before a time; answer how many."""
        return await self._server.write(_STOPS.forget, (storable(namespace), moment_us(before)))

    async def keep_purge(self, purge: Purge) -> None:
        """Put a round of forgetting on record."""
        await self._server.write(_PURGES.keep, purge_parameters(purge))
        await self._server.write(_PURGES.trim, ())

    async def purges(self, *, limit: int = MAX_PURGES) -> tuple[Purge, ...]:
        """The rounds of forgetting on record, the newest first."""
        rows = await self._server.read(_PURGES.log, (limited(limit),))
        return tuple(purge_of_row(row, self._place) for row in rows)

    async def stops(self, namespace: str) -> tuple[Stop, ...]:
        """The stops that hold in a Temporal namespace, the oldest first."""
        return await self._stops(_STOPS.holding, (storable(namespace),))

    async def stop(self, namespace: str, key: str, *, by: str, reason: str = "") -> bool:
        """Forbid something. False if a stop of that key holds already."""
        return await self._server.write(_STOPS.stop, stop_parameters(namespace, key, by, reason)) == 1

    async def lift(self, namespace: str, key: str, *, by: str, reason: str = "") -> bool:
        """End the stop of a key. False if none holds."""
        namespace, key, by, reason = stop_parameters(namespace, key, by, reason)
        return await self._server.write(_STOPS.lift, (by, reason, namespace, key)) == 1

    async def stops_log(self, namespace: str, *, limit: int = 100) -> tuple[Stop, ...]:
        """The last stops of a namespace, those that were lifted too, the newest first."""
        return await self._stops(_STOPS.log, (storable(namespace), log_limit(limit)))

    async def close(self) -> None:
        """Close the connections. A later operation makes new ones."""
        await self._server.close()

    async def _card(self) -> tuple[LedgerCard, str]:
        """The ledger's card, and the place where it lies."""
        card, *place = await self._with_place("(SELECT card FROM agentflow_ledger)")
        if card is None:
            raise LedgerError(f"the effect ledger {self._place} has no record of itself: {SET_UP}")
        return LedgerCard.read(card, self._place), _lying_at(place)

    async def _with_place(self, what: str) -> Row:
        """An expression's value, and the parts of the ledger's place as far as the server tells them."""
        while True:
            try:
                ((*values,),) = await self._server.read(f"SELECT {', '.join((what, *self._tellable))}")
            except LedgerError as error:
                if len(self._tellable) == 1 or not isinstance(error.__cause__, _NOT_TOLD):
                    raise
                self._tellable = self._tellable[:-1]
            else:
                return tuple(values)

    async def _stops(self, sql: str, values: Row) -> tuple[Stop, ...]:
        return tuple(stop_of_row(row, self._place) for row in await self._server.read(sql, values))

    async def _migrate(self, connection: AsyncConnection[TupleRow]) -> list[str]:
        made, known = await _version(connection), named_migrations("postgres_ledger_sql")
        if made > len(known):
            raise self._of_another_version(made)
        for number, (name, script) in enumerate(known[made:], start=made + 1):
            await connection.execute(script.encode())
            await connection.execute(_APPLIED, (number, name))
        return [name for name, _ in known[made:]]

    def _of_another_version(self, made: int) -> ConfigurationError:
        known = len(named_migrations("postgres_ledger_sql"))
        if made > known:
            return ConfigurationError(
                f"the effect ledger {self._place} is of version {made}, this agentflow knows {known}: "
                "upgrade agentflow-temporal"
            )
        found = f"is of version {made}, this agentflow needs {known}" if made else "has no tables yet"
        return ConfigurationError(f"the effect ledger {self._place} {found}: {SET_UP}")

    def _stored(self, row: Row) -> StoredEffect:
        *values, version, created_at_us, written_at_us, age_us = row
        return stored_effect(
            values,
            version=version,
            age=from_microseconds(age_us),
            created_at=moment(created_at_us),
            written_at=moment(written_at_us),
            place=self._place,
        )


def _lying_at(parts: Sequence[Any]) -> str:
    """A place from its parts, as many as the server has told."""
    table, *server = map(str, parts)
    place = f"table {table}" + "".join(f" of server {number}" for number in server[:1])
    return place_with_timeline(place, server[1]) if len(server) > 1 else place


async def _version(connection: AsyncConnection[TupleRow]) -> int:
    row = await (await connection.execute(_VERSION)).fetchone()
    assert row is not None
    return row[0]
