"""The statements on the ledgers' tables of effects and purges, in either dialect of SQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from agentflow.adapters.ledger_rows import (
    IS_OPEN,
    MAX_OF_WORK,
    RECORD_COLUMNS,
    conditions,
    limited,
    moment,
    moment_us,
    original,
    place_of,
    storable,
)
from agentflow.contracts.effects import EffectQuery
from agentflow.contracts.purges import MAX_PURGES, Purge
from agentflow.contracts.wire import Sha256
from agentflow.errors import LedgerError

Values = list[Any]

_PURGE_COLUMNS = "at_us, purged_by, namespace, before_us, forgotten, kept, refused"


@dataclass(frozen=True)
class EffectStatements:
    """The statements on ``agentflow_effects``."""

    insert: str
    """Parameters: the record's row, and what stamps it if the server doesn't."""
    get: str
    """Parameters: key."""
    of_work: str
    """Parameters: work."""
    replace: str
    """Parameters: the record's row, what stamps it if the server doesn't, key, version."""
    stored: str
    placeholder: str

    def find(self, query: EffectQuery, limit: int, cursor: str | None) -> tuple[str, Values]:
        """A page of a listing and one more, the oldest first, with its parameters.

        Raises:
            ValueError: the cursor is no cursor of such a ledger, or the limit is out of bounds.
        """
        p = self.placeholder
        parts, values = conditions(query, p)
        if cursor is not None:
            created_at_us, key = place_of(cursor, int, str)
            parts.append(f"(created_at_us, key) > ({p}, {p})")
            values += [created_at_us, storable(key)]
        where = f"WHERE {' AND '.join(parts)}" if parts else ""
        sql = f"SELECT {self.stored} FROM agentflow_effects {where} ORDER BY created_at_us, key LIMIT {p}"  # noqa: S608
        return sql, [*values, limited(limit) + 1]

    def forget(self, versions: Mapping[Sha256, int]) -> tuple[str, Values]:
        """Delete records that are not open, each as it was seen: it may have been written meanwhile."""
        p = self.placeholder
        rows = ", ".join([f"({p}, {p})"] * len(versions))
        sql = (
            f"DELETE FROM agentflow_effects WHERE NOT {IS_OPEN}"  # noqa: S608
            f" AND (key, version) IN (VALUES {rows})"
        )
        return sql, [value for key, version in versions.items() for value in (storable(key), version)]


def effect_statements(
    placeholder: str, *, stamps: Mapping[str, str], again: Mapping[str, str], clock: str, seen: Sequence[str]
) -> EffectStatements:
    """Make the statements.

    Args:
        placeholder: Of a parameter.
        stamps: What a new record is stamped with: columns, and each one's expression.
        again: What a changed one is stamped with.
        clock: What the expressions of ``stamps`` are from: a FROM clause, or nothing.
        seen: What is read behind a record's columns and its version.
    """
    p = placeholder
    stored = ", ".join((*RECORD_COLUMNS, "version", *seen))
    row = ", ".join([p] * len(RECORD_COLUMNS))
    changed = ", ".join(
        [f"{column} = {p}" for column in RECORD_COLUMNS]
        + ["version = version + 1"]
        + [f"{column} = {stamp}" for column, stamp in again.items()]
    )
    from_effects = f"SELECT {stored} FROM agentflow_effects"  # noqa: S608
    return EffectStatements(
        # With a WHERE: SQLite would take the ON of ON CONFLICT for that of a join.
        insert=f"INSERT INTO agentflow_effects ({', '.join((*RECORD_COLUMNS, 'version', *stamps))})"
        f" SELECT {row}, 1, {', '.join(stamps.values())} {clock} WHERE true ON CONFLICT (key) DO NOTHING",
        get=f"{from_effects} WHERE key = {p}",
        of_work=f"{from_effects} WHERE work = {p} AND counts IS NULL"
        f" ORDER BY created_at_us, key LIMIT {MAX_OF_WORK + 1}",
        replace=f"UPDATE agentflow_effects SET {changed} WHERE key = {p} AND version = {p}",  # noqa: S608
        stored=stored,
        placeholder=p,
    )


@dataclass(frozen=True)
class PurgeStatements:
    """The statements on ``agentflow_purges``."""

    keep: str
    """Parameters: those of ``purge_parameters``."""
    trim: str
    log: str
    """Parameters: limit."""


def purge_statements(placeholder: str) -> PurgeStatements:
    """Make the statements."""
    p = placeholder
    return PurgeStatements(
        keep=f"INSERT INTO agentflow_purges ({_PURGE_COLUMNS}) VALUES ({', '.join([p] * 7)})",  # noqa: S608
        trim="DELETE FROM agentflow_purges WHERE number <= (SELECT max(number) FROM agentflow_purges)"  # noqa: S608
        f" - {MAX_PURGES}",
        log=f"SELECT {_PURGE_COLUMNS} FROM agentflow_purges ORDER BY number DESC LIMIT {p}",  # noqa: S608
    )


def purge_parameters(purge: Purge) -> Values:
    """What is kept of a round."""
    return [
        moment_us(purge.at),
        storable(purge.by),
        storable(purge.namespace),
        moment_us(purge.before),
        purge.forgotten,
        purge.kept,
        storable(purge.refused),
    ]


def purge_of_row(row: Sequence[Any], place: str) -> Purge:
    """A row of ``agentflow_purges``.

    Raises:
        LedgerError: it is none that this version of agentflow knows.
    """
    at_us, by, namespace, before_us, forgotten, kept, refused = row
    try:
        return Purge(
            at=moment(at_us),
            by=original(by),
            namespace=original(namespace),
            before=moment(before_us),
            forgotten=forgotten,
            kept=kept,
            refused=original(refused),
        )
    except (ValidationError, TypeError, OverflowError) as error:
        raise LedgerError(
            f"the effect ledger {place} can't be used: a purge on record is damaged, or of another version "
            "of agentflow"
        ) from error
