"""One thing that a run may take at its word, and which values it is evidence for.

Values are compared exactly, code point by code point, and then by their kind (``core.kinds``):

- any: a whole value, or in what people wrote a word of its own, if it is long enough to be no other word by
  chance; a shorter one only in a field of the same name;
- an id: with and without ``#`` before it;
- money: a whole number in a field of money is the amount that is written with a currency. What another field
  has is no evidence: of a list of prices an attacker could choose one;
- a date: the same day, however it is written, if it can be read in one way only;
- a code: a state right beside the city or the postal code that the same object has;
- a name: right beside the other name that the same object has, or with it in an id (``ada_king_12``);
- a title of several plain words: in other capitals.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cached_property

from agentflow.contracts.wire import Json
from agentflow.core.amounts import Numbers, as_number, currency_of, is_in, numbers_of
from agentflow.core.dates import Days, as_date, as_moment, days_of
from agentflow.core.frozen_json import frozen
from agentflow.core.kinds import (
    CITIES,
    FAMILY_NAMES,
    GIVEN_NAMES,
    POSTAL_CODES,
    is_telling,
    is_title,
    kind_of,
    words_of,
)
from agentflow.core.leaves import Leaf, canonical, leaves

SEPARATOR = "\0"
"""Between the texts of one source. A value that has it is trusted by none."""

_NUMBERED = re.compile(r"(?=[^\d]*\d)[A-Za-z0-9-]+", re.ASCII)
"""What ``#`` may stand before: letters and digits, with a digit at least."""
# From the beginning of a word on, so that a long text is read once.
_NAMES_IN_ID = re.compile(r"(?<![A-Za-z0-9_])([a-z]+(?:_[a-z]+){1,3})_\d+", re.ASCII)


@dataclass(frozen=True)
class Source:
    """One thing that is trusted, taken apart."""

    label: str
    """Why it is trusted."""
    value: Json
    text: str
    """What people wrote in it; of a tool's output, nothing."""
    fields: Mapping[str, frozenset[str]]
    """Each value, and the names of the fields that have it."""
    amounts: frozenset[Decimal]
    """The values that are numbers with a fraction."""
    keys: Mapping[str, frozenset[str]]
    """Each key of an object, and the names of the fields that have it. No evidence for values: a directory
    may have a field ``admin``, and say of nobody that they are one."""

    @staticmethod
    def of(label: str, value: Json, *, as_text: bool) -> "Source":
        """A trusted value, taken apart.

        Raises:
            ValueError: it is no JSON, or nested too deep.
        """
        value = frozen(value)
        found = list(leaves(value, ""))
        values = [leaf for leaf in found if not leaf.is_key]
        texts = [leaf.value for leaf in values if isinstance(leaf.value, str)] if as_text else []
        amounts = {
            leaf.value for leaf in values if isinstance(leaf.value, Decimal) and _has_fraction(leaf.value)
        }
        keys = _by_text(leaf for leaf in found if leaf.is_key)
        return Source(label, value, SEPARATOR.join(texts), _by_text(values), frozenset(amounts), keys)

    def has(self, leaf: Leaf, year: int | None) -> bool:
        """Whether it is evidence for a value.

        Args:
            leaf: The value, with those beside it.
            year: The only one that people's texts have, if there is one: that of a day without a year.
        """
        return any(self._has(form, leaf) for form in _spellings(leaf.value)) or (
            not leaf.is_key and self._has_by_kind(leaf, year)
        )

    def mentions(self, leaf: Leaf) -> bool:
        """Whether it says a value at all, be it too short to be evidence."""
        return self._names(leaf.text, leaf.is_key) is not None or occurs(leaf.text, self.text)

    @cached_property
    def days(self) -> Days:
        """The days that its text names, read when they are first asked for."""
        return days_of(self.text)

    def _has(self, value: str | Decimal, leaf: Leaf) -> bool:
        names = self._names(canonical(value), leaf.is_key)
        if names is not None and (is_telling(value) or leaf.field in names):
            return True
        if isinstance(value, Decimal):
            # A small whole number is as likely an id that somebody chose to be found.
            is_said = value in self._numbers.telling or value in self.amounts
            return is_said and (_has_fraction(value) or is_telling(value))
        return is_telling(value) and occurs(value, self.text)

    def _has_by_kind(self, leaf: Leaf, year: int | None) -> bool:
        match kind_of(leaf):
            case "money":
                return self._has_amount(leaf)
            case "date":
                return self._has_day(leaf.text, year)
            case "code":
                return any(occurs(phrase, self.text) for phrase in _addresses(leaf))
            case "name":
                return self._has_name(leaf)
            case "text":
                return is_title(leaf) and occurs(leaf.text.lower(), self._small_letters)
            case "id" | "number":
                return False

    def _has_amount(self, leaf: Leaf) -> bool:
        words = words_of(leaf.field)
        number, currency = as_number(leaf.value), currency_of(words) or _currency_beside(leaf)
        return any(number == amount and is_in(currency, signs) for amount, signs in self._numbers.amounts)

    def _has_day(self, value: str, year: int | None) -> bool:
        if (moment := as_moment(value)) is not None:
            return moment in self.days.moments or moment in self._moments
        day = as_date(value)
        if day is None:
            return False
        if day in self.days.dates or day in self._dates:
            return True
        return day.year == year and (day.month, day.day) in self.days.without_year

    def _has_name(self, leaf: Leaf) -> bool:
        names = _full_name(leaf)
        if names is None:
            return False
        # Both together, so that no other two words of it are a person's name.
        return occurs(" ".join(names), self.text) or tuple(map(str.lower, names)) in self._names_in_ids

    def _names(self, text: str, is_key: bool) -> frozenset[str] | None:
        names = self.fields.get(text)
        return self.keys.get(text) if names is None and is_key else names

    @cached_property
    def _numbers(self) -> Numbers:
        return numbers_of(self.text)

    @cached_property
    def _dates(self) -> frozenset[date]:
        return frozenset(day for text in self.fields if len(text) < 40 and (day := as_date(text)))

    @cached_property
    def _moments(self) -> frozenset[str]:
        return frozenset(moment for text in self.fields if len(text) < 40 and (moment := as_moment(text)))

    @cached_property
    def _small_letters(self) -> str:
        return self.text.lower()

    @cached_property
    def _names_in_ids(self) -> frozenset[tuple[str, ...]]:
        in_text = (found for found in _NAMES_IN_ID.finditer(self.text) if _is_word(self.text, *found.span()))
        in_fields = (found for text in self.fields if (found := _NAMES_IN_ID.fullmatch(text)))
        return frozenset(tuple(found[1].split("_")) for found in (*in_text, *in_fields))


def _by_text(found: Iterable[Leaf]) -> dict[str, frozenset[str]]:
    """The names of the fields that have each of them."""
    fields: dict[str, set[str]] = {}
    for leaf in found:
        fields.setdefault(leaf.text, set()).add(leaf.field)
    return {text: frozenset(names) for text, names in fields.items()}


def _spellings(value: str | Decimal) -> Iterator[str | Decimal]:
    """The value, and an id with and without the sign that says that it is one: ``#W4711`` is ``W4711``."""
    yield value
    if isinstance(value, str):
        bare = value.removeprefix("#")
        if _NUMBERED.fullmatch(bare) and is_telling(bare):
            yield f"#{bare}" if bare == value else bare


def _currency_beside(leaf: Leaf) -> str | None:
    said = next((value for field, value in leaf.beside.items() if words_of(field) == ("currency",)), None)
    return said.upper() if isinstance(said, str) else None


def _addresses(leaf: Leaf) -> Iterator[str]:
    """Phrases that say a state: ``Springfield, IL``, ``IL 62701``."""
    for field, value in leaf.beside.items():
        if not isinstance(value, str) or not is_telling(value):
            continue
        name = " ".join(words_of(field))
        if name in CITIES:
            yield from (f"{value}, {leaf.text}", f"{value} {leaf.text}")
        elif name in POSTAL_CODES:
            yield from (f"{leaf.text} {value}", f"{leaf.text}, {value}")


def _full_name(leaf: Leaf) -> tuple[str, str] | None:
    """The first and the last name of the object that has one of them."""
    given, family = _beside(leaf, GIVEN_NAMES), _beside(leaf, FAMILY_NAMES)
    if leaf.text not in (given, family) or not given or not family:
        return None
    return given, family


def _beside(leaf: Leaf, names: frozenset[str]) -> str | None:
    """The one text that the object has in a field of such a name."""
    found = [value for field, value in leaf.beside.items() if " ".join(words_of(field)) in names]
    return found[0] if len(found) == 1 and isinstance(found[0], str) else None


def _has_fraction(value: Decimal) -> bool:
    """Whether a number is written with one, as amounts are: 12.0 is, 12 isn't."""
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and exponent < 0


def occurs(value: str, text: str) -> bool:
    """Whether a text has a value as a word of its own, and not as a part of a longer name or address."""
    start = text.find(value)
    while start >= 0:
        if _is_word(text, start, start + len(value)):
            return True
        start = text.find(value, start + 1)
    return False


def _is_word(text: str, start: int, end: int) -> bool:
    return _begins(text, start) and _ends(text, end)


def _begins(text: str, start: int) -> bool:
    return start == 0 or not (text[start - 1].isalnum() or text[start - 1] in "_@.-+%/\\#&=")


def _ends(text: str, end: int) -> bool:
    if end == len(text):
        return True
    mark, following = text[end], text[end + 1 : end + 2]
    if mark == "." and following.isupper() and text[end - 1].islower():
        return True  # the next sentence, without a space before it
    if mark.isalnum() or mark in "_@/\\":
        return False
    return mark not in ".-+%:?&=#" or not (following.isalnum() or following == "/")
