"""Money in three shapes: ``Decimal`` dollars in Python, text on the wire, whole cents in storage."""

import re
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_CENT = Decimal("0.01")
# ASCII digits only: \d in Python also matches the digits of other scripts, JSON Schema's doesn't.
_TEXT = re.compile(r"[0-9]{1,6}\.[0-9]{2}")


def usd_from_cents(cents: int) -> Decimal:
    """Whole cents as dollars with two decimals: 4900 is ``Decimal("49.00")``."""
    return (Decimal(cents) / 100).quantize(_CENT)


def cents_from_usd(usd: Decimal) -> int:
    """Dollars as whole cents.

    Raises:
        ValueError: the amount has a fraction of a cent, which nobody can pay.
    """
    cents = usd * 100
    if cents != int(cents):
        raise ValueError(f"${usd} has a fraction of a cent")
    return int(cents)


def _parse(value: object) -> Decimal:
    match value:
        case str() if _TEXT.fullmatch(value):
            return Decimal(value)
        case Decimal() if value.is_finite() and 0 <= value < 1_000_000:
            return usd_from_cents(cents_from_usd(value))
        case _:
            raise ValueError('write dollars as text with two decimals, such as "49.00"')


def _text(value: Decimal) -> str:
    return f"{value:.2f}"


UsdText = Annotated[
    Decimal,
    BeforeValidator(_parse),
    PlainSerializer(_text, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"^\d{1,6}\.\d{2}$"}),
]
"""Dollars from 0.00 to 999999.99. Text in JSON, since a JSON number would pass through a float."""
