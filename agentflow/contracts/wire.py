"""What every contract shares: its strictness, its JSON, and the types of its IDs."""

import hashlib
import json
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, ClassVar, NewType, TypeVar, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Sha256 = NewType("Sha256", str)
"""A SHA-256 in lower-case hexadecimal."""

ToolCallId = NewType("ToolCallId", str)
"""Names one tool call within a run."""

ApprovalId = NewType("ApprovalId", str)
"""Names one pending action within a run."""


def _finite(value: Decimal) -> Decimal:
    if not value.is_finite():
        raise ValueError("must be a finite number")
    return value


Usd = Annotated[Decimal, Field(ge=0, max_digits=24, decimal_places=12), AfterValidator(_finite)]
"""Dollars, never negative, exact. Twelve places hold one token at the cheapest price known."""

MOST_USD = Decimal(1_000_000)
"""The highest price of one thing: a dollar for a token, a million for a call. More is a slip of the hand, and
sums of it would be no ``Usd`` any more."""

Price = Annotated[Usd, Field(le=MOST_USD)]
"""Dollars that one call, or a million tokens, costs."""

LEAST_DURATION = timedelta(milliseconds=1)

GREATEST_DURATION = timedelta(days=36_500)
"""A hundred years: times that far ahead can still be reckoned with, and are no limit."""

Duration = Annotated[timedelta, Field(ge=LEAST_DURATION, le=GREATEST_DURATION)]
"""A length of time that something may take: a millisecond at least, as no time at all is always a slip, and a
hundred years at most."""

Json = Any
"""A value as JSON has it: None, bool, int, float, str, list or dict of these."""


def is_none(value: object) -> bool:
    """For ``exclude_if``: a field that says nothing takes no place in history."""
    return value is None


def is_false(value: object) -> bool:
    """For ``exclude_if``, as ``is_none``."""
    return value is False


def is_true(value: object) -> bool:
    """For ``exclude_if``, as ``is_none``."""
    return value is True


def is_zero(value: object) -> bool:
    """For ``exclude_if``, as ``is_none``."""
    return value == 0


def is_empty(value: object) -> bool:
    """For ``exclude_if``, as ``is_none``."""
    return not value


class Contract(BaseModel):
    """A frozen value that crosses the wire. Unknown fields are refused, not ignored."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", validate_default=False)


ContractT = TypeVar("ContractT", bound=Contract)


def exactly(kind: type[ContractT], value: object) -> ContractT | None:
    """What somebody's own code answered, if it is of exactly this type, and valid; else ``None``.

    A subclass may say something else each time, and what was made without validation may say anything.
    """
    if type(value) is not kind:
        return None
    try:
        # Without warnings, which quote what is wrong.
        return kind.model_validate(cast(Contract, value).model_dump(warnings=False))
    except Exception:
        return None


MAX_DEPTH = 100
"""Levels of nesting. How deep Python's own encoder can go differs between its versions, and a decision must
not."""


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: Json, max_depth: int = MAX_DEPTH) -> bytes:
    """One byte string for one JSON value: sorted keys, no spaces, UTF-8, no NaN.

    Raises:
        ValueError: the value holds NaN or an infinity, which JSON does not have, or is nested deeper
            than ``max_depth`` levels.
        TypeError: the value holds something that isn't JSON.
    """
    try:
        text = _ENCODER.encode(value)
    except RecursionError:
        raise _too_deep() from None
    # Each level has a bracket: with fewer of them in all, there is nothing to walk through.
    if text.count("{") + text.count("[") > max_depth:
        _check_depth(value, max_depth)
    # A lone surrogate is legal in a Python string and in JSON escapes, but not in UTF-8.
    return text.encode("utf-8", errors="surrogatepass")


def _check_depth(value: Json, left: int) -> None:
    if isinstance(value, dict | list | tuple):
        if not left:
            raise _too_deep()
        parts = cast(dict[str, Json], value).values() if isinstance(value, dict) else cast(list[Json], value)
        for part in parts:
            _check_depth(part, left - 1)


def _too_deep() -> ValueError:
    return ValueError(f"the value is nested deeper than {MAX_DEPTH} levels")


def sha256_of(value: Json) -> Sha256:
    """The hash of a JSON value, the same wherever and whenever it is computed."""
    return Sha256(hashlib.sha256(canonical_json(value)).hexdigest())
