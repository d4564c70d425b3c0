"""The marked values that a run has seen, found again wherever they turn up."""

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from urllib.parse import quote

from agentflow.contracts.tags import ToldValues
from agentflow.contracts.wire import Json
from agentflow.core.escapes import unescaped
from agentflow.core.folding import as_folded, folded, normalised, without_plus
from agentflow.core.patterns import Finding
from agentflow.core.tags import Tagged
from agentflow.core.views import DEPTH, View

MAX_KNOWN = 2_000
"""Values of one run. With more of them, nothing that might hold one is told any more."""
MAX_TOLD = 4_000
"""Characters of all values that go along with each call of an activity. Of a run with more, activities tell
no texts."""
MAX_VALUE = 2_000
"""Characters that are looked for as one: a longer value is looked for in pieces."""

# A number of people's: a phone's, an account's. Written with other separators it is the same.
_NUMBER = re.compile(r"\+?[\d\s().\-/]{7,40}")
_SEPARATORS = re.compile(r"[\s().\-/+\u2010-\u2015\u2212]{0,3}")
_MIN_NUMBER = 7
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
        """Where the values are in a text that stands as it reads (``core.views``).

        In any capitals, spaces and digits, composed or not; numbers with any separators. As JSON, URLs and
        base64 write a value by itself it is found without being decoded.

        Raises:
            TooManyValuesError: there are more than are known, so that nobody can tell.
        """
        if self.is_full:
            raise TooManyValuesError
        view = folded(normalised(View(text)))
        yield from _placed(view, (finding for form in self._forms for finding in form.find(view.text)))
        if self._numbers:
            yield from _placed(view, _find_numbers(view.text, self._numbers))
        spaced = without_plus(view)
        if spaced is not view:
            found = (finding for form in self._spaced_forms for finding in form.find(spaced.text))
            yield from _placed(spaced, found)

    @cached_property
    def _forms(self) -> list["_Form"]:
        forms = {
            as_folded(form): kind for value, kind in self.kinds.items() for form in reversed(_written(value))
        }
        # A form of what can't be seen alone would be anywhere.
        return [_Form(text, kind) for text, kind in forms.items() if text.strip()]

    @cached_property
    def _spaced_forms(self) -> list["_Form"]:
        """Those that read otherwise where a plus is a space."""
        forms = {without_plus(View(form.text)).text.strip(): form.kind for form in self._forms}
        return [_Form(text, kind) for text, kind in forms.items() if " " in text]

    @cached_property
    def _numbers(self) -> dict[str, str]:
        """Digits of the values that are numbers of people's, and their kinds."""
        found = {value: kind for value, kind in self.kinds.items() if _NUMBER.fullmatch(value)}
        digits = {re.sub(r"\D", "", as_folded(value)): kind for value, kind in found.items()}
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


def _placed(view: View, findings: Iterable[Finding]) -> Iterator[Finding]:
    return (Finding(*view.place(found.start, found.end), found.kind) for found in findings)


def _written(value: str) -> list[str]:
    """A value as it is looked for in texts that are decoded as far as they go."""
    if len(value) < _NO_PART:
        return [value]
    data = value.encode(errors="surrogatepass")
    forms = [
        value,
        # Decoding takes what looks like an escape in the value for one.
        *_decoded(value),
        # Decoding can't tell these from what is around them.
        value.replace("'", "''"),
        value.replace('"', '""'),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        # As of any other bytes, nobody can tell of a value without letters that it is a text.
        quote(data, safe=""),
        base64.b64encode(data).decode(),
    ]
    return list(dict.fromkeys(form for form in forms if len(form) >= _NO_PART))


def _decoded(value: str) -> Iterator[str]:
    view: View | None = View(value)
    for _ in range(DEPTH):
        if (view := unescaped(view)) is None:
            return
        yield view.text


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
