"""Who is named in what a run was started with: they alone are not two pairs of eyes.

A text is looked through once for each run, in linear time, word by word: each character is replaced by what
it looks like (``core.person``), what can't be seen is left out, and so are accents. A name is found where its
words stand next to each other. An e-mail address is such a name; so is the ``ann`` in ``ann@example.com``.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from agentflow.contracts.identity import Consent
from agentflow.contracts.person import refused_as
from agentflow.contracts.wire import Json
from agentflow.core.lattice import read_alike
from agentflow.core.person import is_plain, letter_readings, settled, skeleton

MAX_COMPARED = 2_000
"""Places in a text that are looked at letter by letter; where there are more, a person is taken as named."""

_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Named:
    """The words of all texts that a run was started with."""

    texts: tuple[str, ...]
    """Words between single spaces, once for each way to read them."""
    words: tuple[str, ...] = ()
    """The same as they are written, without accents and what can't be seen."""

    @classmethod
    def of(cls, values: Iterable[Json]) -> "Named":
        """Those of JSON values, the keys of objects included."""
        text = "\n".join(_texts(values))
        return cls(tuple(_words(text, look) for look in _LOOKS), _written(text))

    def names(self, person: str) -> bool:
        """Whether a person is named. Of a name without letters nobody can tell: it is taken as named."""
        words = {_words(person, look) for look in _LOOKS}
        if "  " in words or any(each in text for each in words for text in self.texts):
            return True
        return self._names_letter_by_letter(_written(person))

    def _names_letter_by_letter(self, wanted: tuple[str, ...]) -> bool:
        """Whether words are there that look like these, each letter in whatever case."""
        if not wanted:
            return True
        first, whole, compared = _beginnings(wanted[0]), " ".join(wanted), 0
        for at, word in enumerate(self.words[: len(self.words) - len(wanted) + 1]):
            if first.isdisjoint(_beginnings(word)):
                continue
            found = " ".join(self.words[at : at + len(wanted)])
            if is_plain(found) and is_plain(whole):
                continue
            compared += 1
            if compared > MAX_COMPARED or read_alike(found, whole, letter_readings):
                return True
        return False


def objection_to_named(named: Named | None, consents: Sequence[Consent], people: int) -> str | None:
    """Why consents are not enough although they are as many as are needed; ``None`` where they are.

    Args:
        named: Who is named in what the run was started with.
        consents: Those that there would be.
        people: How many are needed.
    """
    if named is None or people < 2 or len(consents) < people:
        return None
    if not all(_is_named(named, consent) for consent in consents):
        return None
    who = ", ".join(consent.name for consent in consents)
    return f"{who}: all are named in what the run was started with; somebody who is not must agree"


def _is_named(named: Named, consent: Consent) -> bool:
    people = (consent.by, consent.on_behalf_of)
    return any(named.names(person) for person in people if person is not None)


def _texts(values: Iterable[Json]) -> Iterator[str]:
    """All texts in their order: a first and a last name may be two values next to each other."""
    rest = list(values)[::-1]
    while rest:
        value = rest.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            members = cast(dict[str, Json], value)
            rest += reversed([*members.values(), *members])
        elif isinstance(value, list | tuple):
            rest += reversed(cast(Sequence[Json], value))


def _words(text: str, look: Callable[[str], str]) -> str:
    seen = text.translate({ord(char): look(char) for char in set(text)})
    return f" {' '.join(_WORD.findall(seen))} "


def _written(text: str) -> tuple[str, ...]:
    kept = {char: char if _as_is(char).strip() else _as_is(char) for char in set(text)}
    bare = unicodedata.normalize("NFD", text.translate(str.maketrans(kept)))
    letters = "".join(char for char in bare if not unicodedata.combining(char) or _as_is(char))
    return tuple("".join(char if _is_word(char) else " " for char in letters).split())


@lru_cache(maxsize=16_384)
def _is_word(char: str) -> bool:
    return any(_WORD.search(look(char)) for look in _LOOKS)


@lru_cache(maxsize=16_384)
def _beginnings(word: str) -> frozenset[str]:
    """What a word may begin with."""
    return frozenset(reading[:1] for reading in letter_readings(word[0]))


@lru_cache(maxsize=16_384)
def _small(char: str) -> str:
    """A character as it looks once it is folded."""
    return _look(char, char)


@lru_cache(maxsize=16_384)
def _as_is(char: str) -> str:
    """A character as it looks."""
    return _look(char, skeleton(char))


def _look(char: str, seen: str) -> str:
    if kind := refused_as(char):
        return "" if "invisible" in kind else " "
    if char.isspace():
        return " "
    return "".join(part for part in settled(seen) if not unicodedata.combining(part))


_LOOKS: tuple[Callable[[str], str], ...] = (_small, _as_is)
