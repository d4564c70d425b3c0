"""Dates and times as people write them, where they can be read in one way only.

``2024-05-15``, ``May 15th, 2024``, ``15 May 2024`` and ``15.5.2024`` are one date. ``5/6/2024`` is none: half
of the world reads it as the other day. Years have four digits, and months are named in English.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

_MONTHS = (
    ("January", "Jan"),
    ("February", "Feb"),
    ("March", "Mar"),
    ("April", "Apr"),
    ("May",),
    ("June", "Jun"),
    ("July", "Jul"),
    ("August", "Aug"),
    ("September", "Sept", "Sep"),
    ("October", "Oct"),
    ("November", "Nov"),
    ("December", "Dec"),
)
_NUMBER_OF = {form: number for number, names in enumerate(_MONTHS, 1) for form in names}
# With a capital: "may" and "march" are words.
_MONTH = rf"(?P<month>{'|'.join(sorted(_NUMBER_OF, key=len, reverse=True))})\.?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_BEGINS = r"(?<![\w.,:/@#&=+-])"
_ENDS = r"(?![\w/@-]|[.,:]\d)"
_YEAR = r"(?P<year>\d{4})"
# "May 20, next year" is no day of this year.
_NO_OTHER_YEAR = (
    r"(?!,?\s+(?:of\s+|in\s+)?(?:the\s+)?(?:next|last|following|previous|coming)\s+year|\s*\d|\s+'\d)"
)

_FORMS = tuple(
    re.compile(_BEGINS + form + _ENDS)
    for form in (
        rf"{_YEAR}-(?P<month>\d\d)-(?P<day>\d\d)",
        rf"{_YEAR}/(?P<month>\d\d?)/(?P<day>\d\d?)",
        rf"(?P<one>\d\d?)(?P<mark>[/.])(?P<two>\d\d?)(?P=mark){_YEAR}",
        rf"{_MONTH}\s+{_DAY}(?:,\s*|\s+)(?:of\s+)?{_YEAR}",
        rf"{_DAY}(?:\s+of)?\s+{_MONTH}(?:,\s*|\s+)(?:of\s+)?{_YEAR}",
    )
)
_WITHOUT_YEAR = tuple(
    re.compile(_BEGINS + form + r"(?![\w/@]|[.:]\d|,\s*\d)" + _NO_OTHER_YEAR)
    for form in (rf"{_MONTH}\s+{_DAY}", rf"{_DAY}(?:\s+of)?\s+{_MONTH}")
)
_ANY_YEAR = re.compile(r"(?<!\d)(?:19|20|21)\d\d(?!\d)")
_MOMENT = re.compile(
    _BEGINS + r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(?::(\d\d)(?:\.0{1,9})?)?(Z|[+-]\d\d:\d\d)?(?![\w@/-]|[.:]\d)"
)


@dataclass(frozen=True)
class Days:
    """The days that a text names."""

    dates: frozenset[date]
    without_year: frozenset[tuple[int, int]]
    """Month and day."""
    years: frozenset[int]
    """All that the text has, with a date or without one."""
    moments: frozenset[str]
    """Days with a time, in one form: ``2024-05-15T10:00:00``, with the zone that is written."""


def days_of(text: str) -> Days:
    """The days that a text names, each as it can be read in one way only."""
    return Days(
        frozenset(day for form in _FORMS for found in form.finditer(text) for day in _dates(found)),
        frozenset(
            (_month(found["month"]), int(found["day"]))
            for form in _WITHOUT_YEAR
            for found in form.finditer(text)
        ),
        frozenset(map(int, _ANY_YEAR.findall(text))),
        frozenset(map(_moment, _MOMENT.finditer(text))),
    )


def as_date(value: str) -> date | None:
    """The date that a value is, and is nothing but; ``None`` where it is none, or may be one of two."""
    found = (form.fullmatch(value) for form in _FORMS)
    return next((day for match in found if match for day in _dates(match)), None)


def as_moment(value: str) -> str | None:
    """The day and time that a value is, as ``Days.moments`` has it."""
    found = _MOMENT.fullmatch(value)
    return _moment(found) if found else None


def _dates(found: re.Match[str]) -> Iterator[date]:
    """The one date that is written there, if it is one."""
    given = found.groupdict()
    if (one := given.get("one")) is None:
        readings = {(_month(given["month"]), int(given["day"]))}
    else:
        first, second = int(one), int(given["two"])
        readings = {(month, day) for month, day in ((first, second), (second, first)) if month <= 12}
    possible = {day for month, number in readings if (day := _day(int(given["year"]), month, number))}
    if len(possible) == 1:
        yield from possible


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _month(written: str) -> int:
    return _NUMBER_OF.get(written) or int(written)


def _moment(found: re.Match[str]) -> str:
    day, minutes, seconds, zone = found.groups()
    return f"{day}T{minutes}:{seconds or '00'}{zone or ''}"
