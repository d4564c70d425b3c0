"""What the ledgers' rows have in common: columns, migrations, cursors."""

import base64
import json
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any, cast

from agentflow.contracts.effects import EffectQuery, EffectRecord

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

RECORD_COLUMNS = (
    "key",
    "namespace",
    "workflow_id",
    "run_id",
    "tool",
    "tool_call_id",
    "arguments_hash",
    "state",
    "owner",
    "attempts",
    "lease_us",
    "result",
    "detail",
    "closed_by",
)
"""The columns that a record has, in one order everywhere."""

IS_OPEN = "(state = 'intended' OR (state = 'unknown' AND closed_by IS NULL))"
"""``EffectRecord.is_open`` in SQL."""


def row_of(record: EffectRecord) -> tuple[Any, ...]:
    """A record as the values of ``RECORD_COLUMNS``."""
    values = {**record.model_dump(exclude={"lease"}), "lease_us": microseconds(record.lease)}
    return tuple(values[column] for column in RECORD_COLUMNS)


def record_of(row: tuple[Any, ...]) -> EffectRecord:
    """The record in the values of ``RECORD_COLUMNS``."""
    values: dict[str, Any] = dict(zip(RECORD_COLUMNS, row, strict=True))
    values["lease"] = timedelta(microseconds=values.pop("lease_us"))
    return EffectRecord.model_validate(values)


def conditions(query: EffectQuery, placeholder: str) -> tuple[list[str], list[Any]]:
    """A query as SQL conditions, and their parameters in order."""
    parts: list[str] = [IS_OPEN] if query.only_open else []
    values: list[Any] = []
    if query.states:
        parts.append(f"state IN ({', '.join([placeholder] * len(query.states))})")
        values += query.states
    for column, wanted in (("workflow_id", query.workflow_id), ("tool", query.tool)):
        if wanted is not None:
            parts.append(f"{column} = {placeholder}")
            values.append(wanted)
    return parts, values


def migrations(folder: str) -> list[str]:
    """The SQL files of a folder beside this file, by their numbers: the first makes version 1."""
    found = (file for file in files("agentflow.adapters").joinpath(folder).iterdir())
    named = sorted((file.name, file.read_text("utf-8")) for file in found if file.name.endswith(".sql"))
    return [text for _, text in named]


def cursor_after(*place: Any) -> str:
    """A page's end as a cursor."""
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def place_of(cursor: str, *kinds: type) -> list[Any]:
    """Where a cursor points.

    Raises:
        ValueError: it is no cursor of this ledger.
    """
    try:
        place: Any = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii")))
    except ValueError:
        place = None
    if not isinstance(place, list) or [type(part) for part in cast(list[Any], place)] != list(kinds):
        raise ValueError(f"{cursor[:80]!r} is no cursor of this ledger")
    return cast(list[Any], place)


def microseconds(span: timedelta) -> int:
    """A time span in whole microseconds, exactly."""
    return span // timedelta(microseconds=1)


def moment(since_epoch_us: int) -> datetime:
    """Microseconds since 1970 as a time in UTC, exactly."""
    return EPOCH + timedelta(microseconds=since_epoch_us)
