"""The marked values that a run has seen, found again wherever they turn up."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

from agentflow.contracts.tags import ToldValues
from agentflow.contracts.wire import Json
from agentflow.core.patterns import Finding
from agentflow.core.scrub import forms_of
from agentflow.core.tags import Tagged

MAX_KNOWN = 2_000
"""Values of one run. With more of them, nothing that might hold one is told any more."""
MAX_TOLD = 4_000
"""Characters of all values that go along with each call of an activity. Of a run with more, activities tell
no texts."""
MAX_VALUE = 2_000
"""Characters that are looked for as one: a longer value is looked for in pieces."""

# A number of people's: a phone's, an account's. Written with other separators it is the same.
_NUMBER = re.compile(r"\+?[\d\s().\-/]{7,40}")
_SEPARATORS = re.compile(r"[\s().\-/]{0,3}")
_MIN_NUMBER = 7
_SPACE = re.compile(r"\s")
_MIN_LETTERS = 2
_MIN_DIGITS = 4
_NO_PART = 4
"""Shorter values count as a word of their own only: within words they would be anywhere."""


class TooManyValuesError(Exception):
    """A run has more marked values than are looked for."""


@dataclass(frozen=True)
class KnownValues:
    """Values, each with what stands in its place. Immutable: each addition is a new one."""

    kinds: Mapping[str, str] = field(default_factory=dict[str, str])
    """The values' kinds."""
    is_full: bool = False
    """Whether there were too many."""

    @staticmethod
    def of(told: ToldValues | None) -> "KnownValues":
        """What an activity was told."""
        return KnownValues(told.kinds, told.is_full) if told else KnownValues()

    def told(self) -> ToldValues:
        """What activities are told: all, or that there are too many."""
        size = sum(len(value) for value in self.kinds)
        return (
            ToldValues(is_full=True)
            if self.is_full or size > MAX_TOLD
            else ToldValues(kinds=dict(self.kinds))
        )

    def plus(self, found: Iterable[Tagged]) -> "KnownValues":
        """With more values."""
        new = {
            text: tagged.kind
            for tagged in found
            for text in _as_texts(tagged.value)
            if text not in self.kinds
        }
        if not new:
            return self
        kinds = {**self.kinds, **new}
        if len(kinds) > MAX_KNOWN:
            return KnownValues(self.kinds, is_full=True)
        return KnownValues(kinds, self.is_full)

    def find(self, text: str) -> Iterator[Finding]:
        """Where the values are in a text.

        As they are, in other capitals, and as JSON, URLs and basic authentication write them; numbers with
        any separators.

        Raises:
            TooManyValuesError: there are more than are known, so that nobody can tell.
        """
        if self.is_full:
            raise TooManyValuesError
        folded = _folded(text)
        for form in self._forms:
            yield from form.find(folded)
        if self._numbers:
            yield from _find_numbers(text, self._numbers)

    @cached_property
    def _forms(self) -> list["_Form"]:
        return [
            _Form(_folded(form), kind)
            for value, kind in self.kinds.items()
            for form in dict.fromkeys(_written(value))
        ]

    @cached_property
    def _numbers(self) -> dict[str, str]:
        """Digits of the values that are numbers of people's, and their kinds."""
        found = {value: kind for value, kind in self.kinds.items() if _NUMBER.fullmatch(value)}
        digits = {re.sub(r"\D", "", value): kind for value, kind in found.items()}
        return {number: kind for number, kind in digits.items() if len(number) >= _MIN_NUMBER}


@dataclass(frozen=True)
class _Form:
    """One way to write a value."""

    text: str
    kind: str

    def find(self, folded: str) -> Iterator[Finding]:
        # One by one they are found faster than by a pattern of them all.
        start = folded.find(self.text)
        while start >= 0:
            end = start + len(self.text)
            if len(self.text) >= _NO_PART or _is_word(folded, start, end):
                yield Finding(start, end, self.kind)
            start = folded.find(self.text, start + 1)


def _written(value: str) -> Iterator[str]:
    yield value
    if len(value) >= _NO_PART:
        yield from forms_of(value)
        yield json.dumps(value)[1:-1]
        yield json.dumps(value, ensure_ascii=False)[1:-1]


def _folded(text: str) -> str:
    """The text in small letters and with plain spaces, as long as it was."""
    small = text.lower()
    if len(small) != len(text):
        small = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    return _SPACE.sub(" ", small)


def _is_word(text: str, start: int, end: int) -> bool:
    return not (text[start - 1 : start].isalnum() or text[end : end + 1].isalnum())


def _find_numbers(text: str, numbers: Mapping[str, str]) -> Iterator[Finding]:
    places = [place for place, character in enumerate(text) if character.isdecimal()]
    digits = "".join(text[place] for place in places)
    for number, kind in numbers.items():
        start = digits.find(number)
        while start >= 0:
            inside = places[start : start + len(number)]
            between = pairwise(inside)
            if all(_SEPARATORS.fullmatch(text, one + 1, other) for one, other in between):
                yield Finding(inside[0], inside[-1] + 1, kind)
            start = digits.find(number, start + 1)


def _as_texts(value: Json) -> Iterator[str]:
    """A value as it is looked for, without what would be found everywhere."""
    if isinstance(value, bool) or value is None:
        return
    whole = (value if isinstance(value, str) else json.dumps(value)).strip()
    for start in range(0, len(whole), MAX_VALUE):
        text = whole[start : start + MAX_VALUE].strip()
        if len(text) >= (_MIN_DIGITS if text.isdigit() else _MIN_LETTERS):
            yield text
