"""What the ledgers' rows have in common: columns, texts, migrations, cursors."""

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any, cast

from pydantic import ValidationError

from agentflow.contracts.effects import EffectPage, EffectQuery, EffectRecord, StoredEffect
from agentflow.contracts.wire import Sha256
from agentflow.errors import LedgerError

RECORD_COLUMNS = (
    "key",
    "namespace",
    "workflow_id",
    "chain",
    "agent",
    "tenant",
    "run_id",
    "tool",
    "tool_call_id",
    "arguments_hash",
    "work",
    "counts",
    "state",
    "owner",
    "attempts",
    "lease_us",
    "result",
    "detail",
    "closed_by",
    "seal",
)
"""The columns that a record has, in one order everywhere."""

IS_OPEN = "(state = 'intended' OR (state = 'unknown' AND closed_by IS NULL))"
"""``EffectRecord.is_open`` in SQL."""

MAX_LIMIT = 1_000
MAX_OF_WORK = 1_000
"""How many records one piece of work may have."""
MAX_FORGOTTEN = 1_000
"""How many records are forgotten at once."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_US = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_MAX_INT64 = 2**63 - 1

# PostgreSQL takes no NUL in a text. DLE is legal everywhere and used by nobody.
_ESCAPED = {"\x00": "\x100", "\x10": "\x101"}
_ORIGINAL = {escaped: original for original, escaped in _ESCAPED.items()}


def storable(text: str) -> str:
    """A text as every store takes it: ``original`` gives it back, but for lone surrogates (U+FFFD)."""
    return re.sub("[\x00\x10\ud800-\udfff]", lambda found: _ESCAPED.get(found[0], "\ufffd"), text)


def original(text: str) -> str:
    """The text that ``storable`` was given."""
    return re.sub("\x10[01]", lambda found: _ORIGINAL[found[0]], text)


def row_of(record: EffectRecord) -> tuple[Any, ...]:
    """A record as the values of ``RECORD_COLUMNS``."""
    values = {name: getattr(record, name) for name in RECORD_COLUMNS if name != "lease_us"}
    values["lease_us"] = microseconds(record.lease)
    return tuple(
        storable(value) if isinstance(value, str) else value
        for value in (values[column] for column in RECORD_COLUMNS)
    )


def stored_effect(
    row: Iterable[Any],
    *,
    version: int,
    age: timedelta,
    created_at: datetime,
    written_at: datetime,
    place: str,
) -> StoredEffect:
    """What a ledger holds.

    Args:
        row: The values of ``RECORD_COLUMNS``.
        version: Of the record.
        age: Time since it was written; less than none is none.
        created_at: When it was inserted.
        written_at: When it was last written.
        place: The ledger's, for an error.

    Raises:
        LedgerError: it is no record that this version of agentflow knows.
    """
    originals = (original(value) if isinstance(value, str) else value for value in row)
    values: dict[str, Any] = dict(zip(RECORD_COLUMNS, originals, strict=True))
    values["lease"] = from_microseconds(values.pop("lease_us"))
    try:
        return StoredEffect(
            record=EffectRecord.model_validate(values),
            version=version,
            age=max(timedelta(0), age),
            created_at=created_at,
            written_at=written_at,
        )
    except ValidationError as error:
        wrong = ", ".join(".".join(map(str, each["loc"])) or each["msg"] for each in error.errors())
        raise LedgerError(
            f"the effect ledger {place} can't be used: record {values['key']} is damaged, or of another "
            f"version of agentflow ({wrong})"
        ) from None


def conditions(query: EffectQuery, placeholder: str) -> tuple[list[str], list[Any]]:
    """A query as SQL conditions, and their parameters in order."""
    parts: list[str] = [IS_OPEN] if query.only_open else []
    values: list[Any] = []
    if query.states:
        parts.append(f"state IN ({', '.join([placeholder] * len(query.states))})")
        values += query.states
    for column, wanted in query.equal.items():
        if wanted is not None:
            parts.append(f"{column} = {placeholder}")
            values.append(storable(wanted))
    if query.ended_before is not None:
        parts.append(f"NOT {IS_OPEN} AND written_at_us < {placeholder}")
        values.append(moment_us(query.ended_before))
    return parts, values


def forgettable(versions: Mapping[Sha256, int]) -> Mapping[Sha256, int]:
    """What is to be forgotten, if that is no more than is forgotten at once.

    Raises:
        ValueError: it is more.
    """
    if len(versions) > MAX_FORGOTTEN:
        raise ValueError(f"{MAX_FORGOTTEN} records at most are forgotten at once, not {len(versions)}")
    return versions


def limited(limit: int) -> int:
    """A page's limit, if it is one.

    Raises:
        ValueError: it isn't.
    """
    if not 1 <= limit <= MAX_LIMIT:
        raise ValueError(f"a page has 1 to {MAX_LIMIT} records, not {limit}")
    return limit


def migrations(folder: str) -> list[str]:
    """The SQL files of a folder beside this file, by their numbers: the first makes version 1."""
    return [text for _, text in named_migrations(folder)]


def named_migrations(folder: str) -> list[tuple[str, str]]:
    """``migrations``, each with its file's name."""
    found = (file for file in files("agentflow.adapters").joinpath(folder).iterdir())
    return sorted((file.name, file.read_text("utf-8")) for file in found if file.name.endswith(".sql"))


def all_of_work(found: Sequence[StoredEffect], place: str) -> tuple[StoredEffect, ...]:
    """What was found of a piece of work.

    Raises:
        LedgerError: there is more of it than is told.
    """
    if len(found) > MAX_OF_WORK:
        raise LedgerError(
            f"the effect ledger {place} has more than {MAX_OF_WORK} records of one piece of work"
        )
    return tuple(found)


def page_of(found: Sequence[StoredEffect], limit: int) -> EffectPage:
    """A page of what was found by creation and key; one more than ``limit``: another page follows."""
    page = tuple(found[:limit])
    if len(found) <= limit:
        return EffectPage(effects=page)
    return EffectPage(effects=page, cursor=cursor_after(moment_us(page[-1].created_at), page[-1].record.key))


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
    except (ValueError, RecursionError):
        place = None
    if not isinstance(place, list) or [type(part) for part in cast(list[Any], place)] != list(kinds):
        raise ValueError(f"{cursor[:80]!r} is no cursor of this ledger")
    parts = cast(list[Any], place)
    if not all(0 <= part <= _LAST_US for part in parts if isinstance(part, int)):
        raise ValueError(f"{cursor[:80]!r} is no cursor of this ledger")
    return parts


def microseconds(span: timedelta) -> int:
    """A time span in whole microseconds, exactly, up to the 290,000 years that a database can count."""
    return max(-_MAX_INT64, min(span // timedelta(microseconds=1), _MAX_INT64))


def from_microseconds(count: int) -> timedelta:
    """The time span of so many microseconds."""
    return timedelta(microseconds=count)


def moment(since_epoch_us: int) -> datetime:
    """Microseconds since 1970 as a time in UTC, exactly.

    Raises:
        LedgerError: no date is that far away.
    """
    try:
        return _EPOCH + timedelta(microseconds=since_epoch_us)
    except OverflowError:
        raise LedgerError(
            f"the effect ledger can't be used: a record in it is dated {since_epoch_us} µs from 1970, which "
            "is no date; see what wrote it"
        ) from None


def moment_us(time: datetime) -> int:
    """A time as microseconds since 1970, exactly."""
    return (time - _EPOCH) // timedelta(microseconds=1)
