"""What the ledgers' stops have in common: their columns, their statements, and how a row is read."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from pydantic import ValidationError

from agentflow.adapters.ledger_rows import limited, moment, original, storable
from agentflow.contracts.stops import Stop
from agentflow.core.answer import describe_errors
from agentflow.errors import LedgerError

_COLUMNS = "namespace, key, stopped_by, reason, since_us, ended_by, ended_reason, ended_at_us"


class StopStatements(NamedTuple):
    """The statements on ``agentflow_stops``, in one dialect of SQL."""

    holding: str
    """Parameters: namespace."""
    stop: str
    """Parameters: namespace, key, by, reason; and the time unless the server has a clock."""
    lift: str
    """Parameters: by, reason, the time unless the server has a clock; namespace, key."""
    log: str
    """Parameters: namespace, limit."""
    forget: str
    """Parameters: namespace, the time before which they ended."""


def stop_statements(placeholder: str, now: str) -> StopStatements:
    """Make the statements.

    Args:
        placeholder: Of a parameter.
        now: The time in microseconds since 1970, as an expression or as a placeholder.
    """
    p = placeholder
    of_namespace = f"SELECT {_COLUMNS} FROM agentflow_stops WHERE namespace = {p}"  # noqa: S608
    return StopStatements(
        holding=f"{of_namespace} AND ended_at_us IS NULL ORDER BY since_us, number",
        stop="INSERT INTO agentflow_stops (namespace, key, stopped_by, reason, since_us)"  # noqa: S608
        f" VALUES ({p}, {p}, {p}, {p}, {now})"
        " ON CONFLICT (namespace, key) WHERE ended_at_us IS NULL DO NOTHING",
        lift=f"UPDATE agentflow_stops SET ended_by = {p}, ended_reason = {p}, ended_at_us = {now}"  # noqa: S608
        f" WHERE namespace = {p} AND key = {p} AND ended_at_us IS NULL",
        log=f"{of_namespace} ORDER BY since_us DESC, number DESC LIMIT {p}",
        forget=f"DELETE FROM agentflow_stops WHERE namespace = {p} AND ended_at_us < {p}",  # noqa: S608
    )


def stop_parameters(namespace: str, key: str, by: str, reason: str) -> tuple[str, str, str, str]:
    """What is to be kept of a stop, as every store takes it.

    Raises:
        ValueError: it is no stop.
    """
    try:
        Stop(namespace=namespace, key=key, by=by, reason=reason, since=datetime.now(UTC))
    except ValidationError as error:
        raise ValueError(f"this is no stop: {describe_errors(error)}") from None
    return storable(namespace), storable(key), storable(by), storable(reason)


def log_limit(limit: int) -> int:
    """How many stops of the log are wanted.

    Raises:
        ValueError: more than a page has, or none.
    """
    return limited(limit)


def stop_of_row(row: Sequence[Any], place: str) -> Stop:
    """A row of ``agentflow_stops``.

    Raises:
        LedgerError: it is none that this version of agentflow knows.
    """
    texts: list[Any] = [original(value) if isinstance(value, str) else value for value in row]
    namespace, key, by, reason, since_us, ended_by, ended_reason, ended_at_us = texts
    try:
        return Stop(
            namespace=namespace,
            key=key,
            by=by,
            reason=reason,
            since=moment(since_us),
            ended_by=ended_by,
            ended_reason=ended_reason or "",
            ended_at=None if ended_at_us is None else moment(ended_at_us),
        )
    except (ValidationError, TypeError, OverflowError) as error:
        raise LedgerError(
            f"the effect ledger {place} can't be used: the stop {key} of namespace {namespace} is damaged, "
            "or of another version of agentflow"
        ) from error
