"""Numbers and amounts of money as people write them: ``2200``, ``1,234.50``, ``$50``, ``50 euros``.

The decimal mark is a point. ``1.234,50`` is read as nothing: of ``1.234`` alone nobody could tell what its
mark is.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

MIN_DIGITS = 4
"""A whole number of fewer may be a day, a size or a count, and is no evidence by itself."""

_DOLLARS = ("USD", "CAD", "AUD", "NZD", "SGD", "HKD")
_CODES = (*_DOLLARS, "EUR", "GBP", "JPY", "CNY", "CHF", "SEK", "NOK", "DKK", "PLN", "INR")
_CURRENCIES: Mapping[str, tuple[str, ...]] = {
    "$": _DOLLARS,
    "€": ("EUR",),
    "£": ("GBP",),
    "¥": ("JPY", "CNY"),
    **dict.fromkeys(("dollar", "dollars"), _DOLLARS),
    **dict.fromkeys(("euro", "euros"), ("EUR",)),
    **dict.fromkeys(("pound", "pounds"), ("GBP",)),
    "yen": ("JPY",),
    **{code: (code,) for code in _CODES},
}
"""What each sign may mean."""

_CODE = "|".join(_CODES)
_WORD = "|".join(sorted((sign for sign in _CURRENCIES if sign.islower()), key=len, reverse=True))
# Neither a part of a date, a time or a word.
_NUMBER = re.compile(
    rf"(?<![\w.,:/-])(?:(?P<sign>[$€£¥]|{_CODE})\s?)?"
    r"(?P<whole>\d{1,3}(?:,\d{3})+|\d+)(?P<fraction>\.\d+)?(?![\w/:-]|[.,]\d)"
    rf"(?:\s?(?P<unit>{_WORD}|{_CODE}|[€£])(?!\w))?"
)
_PLAIN = re.compile(r"-?\d{1,30}(?:\.\d{1,30})?", re.ASCII)

_MONEY = frozenset(
    [
        "amount",
        "price",
        "cost",
        "fee",
        "fare",
        "refund",
        "deposit",
        "charge",
        "payment",
        "tip",
        "rent",
        "salary",
    ]
)
_IN_WORDS: Mapping[str, str] = {"dollars": "USD", "euros": "EUR", **{code.lower(): code for code in _CODES}}


@dataclass(frozen=True)
class Numbers:
    """The numbers of a text that are evidence."""

    telling: frozenset[Decimal]
    """With a currency, with a fraction, or long."""
    amounts: frozenset[tuple[Decimal, tuple[str, ...]]]
    """With a currency, each with those that it may be."""


def numbers_of(text: str) -> Numbers:
    """The numbers of a text that are evidence."""
    telling: set[Decimal] = set()
    amounts: set[tuple[Decimal, tuple[str, ...]]] = set()
    for found in _NUMBER.finditer(text):
        digits, fraction = found["whole"].replace(",", ""), found["fraction"] or ""
        if len(digits) > 60:
            continue
        number = Decimal(digits + fraction[:60])
        # "$50 CAD" says which dollars.
        sign = found["unit"] or found["sign"]
        if sign or fraction or len(digits) >= MIN_DIGITS:
            telling.add(number)
        if sign:
            amounts.add((number, _CURRENCIES[sign]))
    return Numbers(frozenset(telling), frozenset(amounts))


def as_number(value: str | Decimal) -> Decimal | None:
    """A value as a number, if it is written as one and as nothing else."""
    if isinstance(value, Decimal):
        return value
    return Decimal(value) if _PLAIN.fullmatch(value) else None


def currency_of(words: tuple[str, ...]) -> str | None:
    """The currency that a field's name says: ``amount_usd`` is in dollars."""
    return _IN_WORDS.get(words[-1]) if words else None


def is_money(words: tuple[str, ...]) -> bool:
    """Whether a field is named as an amount of money is: not one of cents, nor the id of a payment."""
    named = words[:-1] if currency_of(words) else words
    return bool(named) and named[-1] in _MONEY


def is_in(currency: str | None, possible: tuple[str, ...]) -> bool:
    """Whether an amount with one of these currencies may be in the one that a field asks for."""
    return currency is None or currency in possible
