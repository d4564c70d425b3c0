"""When two names are one person, and when they are the same name.

Two questions, and both fail closed. *Has this person decided already, or asked for the run?* Names that look
alike are one person (``same_person``). *May this key speak for that person, has that person the role?* Only
the same name will do (``same_name``).

What looks alike is told by the confusables of Unicode Technical Standard 39: ``skeleton`` is the one of its
section 4. A name is read as it looks in its own letters and as it looks in small ones: the capital Cyrillic
letter Ve looks like a ``B``, and the small one does not look like a ``b``. It is read as a whole, and letter
by letter: one may look like another as a capital only, and the next one as a small letter only. Two names
that are both in plain small letters are read as they are written: ``ali`` and ``all`` are two people.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import accumulate, combinations

from agentflow.core import confusables
from agentflow.core.lattice import read_alike

_ROUNDS = 8
"""No text of the tables needs more than 3 until it stays as it is."""


def same_person(one: str, other: str) -> bool:
    """Whether two names may be one person's: they look alike, whatever their case, width or spaces."""
    if readings(one) & readings(other):
        return True
    return not (is_plain(one) and is_plain(other)) and _read_alike(one, other)


def same_name(one: str, other: str) -> bool:
    """Whether two names are the same but for case, width, composition and spaces."""
    return folded(one) == folded(other)


def has_one_of(held: Iterable[str], wanted: Iterable[str]) -> bool:
    """Whether one of the roles held is one of those wanted: the same, not one that looks like it."""
    return not {folded(role) for role in held}.isdisjoint(folded(role) for role in wanted)


def beyond(claimed: Iterable[str], held: Iterable[str]) -> list[str]:
    """The roles that are claimed and not held."""
    may = {folded(role) for role in held}
    return sorted(role for role in claimed if folded(role) not in may)


def speaks_for(subjects: Iterable[str], name: str) -> bool:
    """Whether a name is among subjects: ``*@example.com`` is everyone there, ``*`` everyone."""
    return any(
        folded(name).endswith(folded(subject[1:])) if subject.startswith("*") else same_name(subject, name)
        for subject in subjects
    )


def look_alikes(names: Iterable[str]) -> tuple[str, str] | None:
    """Two of the names that look alike and are not the same name, written so that they can be told apart."""
    for one, other in combinations(dict.fromkeys(names), 2):
        if same_person(one, other) and not same_name(one, other):
            return ascii(one), ascii(other)
    return None


@lru_cache(maxsize=4096)
def folded(name: str) -> str:
    """A name as it is compared letter by letter (NFKC case folding, single spaces)."""
    return " ".join(_folded(name).split())


@lru_cache(maxsize=4096)
def readings(name: str) -> frozenset[str]:
    """How a name may be read as a whole. Names that share one are one person."""
    found = {settled(name), settled(skeleton(name))}
    return frozenset(found | {_unordered(reading) for reading in found if _is_mixed(reading)})


@lru_cache(maxsize=4096)
def _read_alike(one: str, other: str) -> bool:
    """Whether they look alike letter by letter, in whatever case each letter is."""
    return read_alike(_composed(one), _composed(other), letter_readings)


def is_plain(name: str) -> bool:
    """Whether a name is in plain small letters, which are read as they are written."""
    return name.isascii() and name == name.lower()


def _composed(name: str) -> str:
    return " ".join(unicodedata.normalize("NFC", name).split())


@lru_cache(maxsize=16_384)
def letter_readings(char: str) -> frozenset[str]:
    """How a letter may be read."""
    if char.isspace():
        return frozenset(" ")
    forms = {char, char.upper(), char.lower(), unicodedata.normalize("NFKC", char)}
    found = {settled(look) for form in forms for look in (form, skeleton(form))}
    # It is not seen above a letter that has a dot.
    return frozenset(found | {""}) if char == _DOT_ABOVE else frozenset(found)


def settled(text: str) -> str:
    """A text whose look and whose case no longer change each other."""
    for _ in range(_ROUNDS):
        before, text = text, " ".join(skeleton(_folded(text)).split())
        if text == before:
            break
    return text


def skeleton(text: str) -> str:
    """The prototypes that a text looks like (Unicode Technical Standard 39, section 4).

    Two things more that can't be seen are left out: a dot above a letter that has one, and a mark above a
    letter that has the same mark.
    """
    replaced = unicodedata.normalize("NFD", text).translate(_PROTOTYPES)
    decomposed = unicodedata.normalize("NFD", replaced)
    return decomposed if decomposed.isascii() else "".join(_seen(decomposed))


def _folded(text: str) -> str:
    """NFKC case folding: once is not enough for all of it (Unicode, definition D145)."""
    if text.isascii():
        return text.casefold()
    for _ in range(_ROUNDS):
        before, text = text, unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
        if text == before:
            break
    return text


def _seen(decomposed: str) -> Iterator[str]:
    base, marks = "", ""
    for char in decomposed:
        if not unicodedata.combining(char):
            base, marks = char, ""
        elif char in marks or (char == _DOT_ABOVE and base in _DOTTED):
            continue
        else:
            marks += char
        yield char


def _is_mixed(reading: str) -> bool:
    """Whether it is written in both directions: then what is shown has another order than what is kept."""
    return bool(_RIGHT_TO_LEFT.search(reading)) and any(
        char.isalnum() and not _RIGHT_TO_LEFT.match(char) for char in reading
    )


def _unordered(reading: str) -> str:
    """The letters and digits alone: all orders of them are one."""
    return "\n" + "".join(sorted(char for char in reading if char.isalnum()))


def _prototypes() -> dict[int, str]:
    table: dict[int, str] = {}
    for entry in confusables.PROTOTYPES.split():
        prototype, _, steps = entry.partition(":")
        text = "".join(chr(int(point, 16)) for point in prototype.split("+"))
        points = accumulate(int(step, 16) for step in steps.split(","))
        table.update(dict.fromkeys(points, text))
    return table


def _right_to_left() -> re.Pattern[str]:
    runs = [(int(run[:-1], 16), run[-1]) for run in confusables.RIGHT_TO_LEFT.split()]
    ends = accumulate(length for length, _ in runs)
    spans = (
        f"\\U{end - length:08x}-\\U{end - 1:08x}"
        for end, (length, kind) in zip(ends, runs, strict=True)
        if kind == "r"
    )
    return re.compile(f"[{''.join(spans)}]")


_PROTOTYPES = _prototypes()
_RIGHT_TO_LEFT = _right_to_left()
_DOT_ABOVE = "\N{COMBINING DOT ABOVE}"
_DOTTED = frozenset(chr(int(point, 16)) for point in confusables.DOTTED.split())
"""Letters on which a dot above is not seen: they have one, or look like one that has."""
