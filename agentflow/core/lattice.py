"""Whether two texts can be read alike when each letter of them is read by itself.

A text is a row of letters, and each letter can be read in a few ways: as it is, as it looks, and as the
capital or the small letter that goes with it does. Two texts are alike if some way through the one reads as
some way through the other does: ``TIM`` with a Greek Tau is ``tim``, although its first letter looks like a
``T`` only as a capital, and its second like an ``i`` only as a small one.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

MAX_STEPS = 4_000
"""Texts that take more to compare are taken for alike: of 200 letters, some hundreds are usual."""

Options = Callable[[str], frozenset[str]]


class _At(NamedTuple):
    """How far both are read, and what one of them reads in advance of the other."""

    one: int
    other: int
    ahead: str
    is_one_ahead: bool


def read_alike(one: str, other: str, options: Options) -> bool:
    """Whether there is a way to read both alike.

    Args:
        one: A text.
        other: Another.
        options: How a letter may be read.
    """
    todo = [_At(0, 0, "", False)]
    seen = set(todo)
    while todo:
        at = todo.pop()
        if (at.one, at.other, at.ahead) == (len(one), len(other), ""):
            return True
        for step in _steps(at, one, other, options):
            if step not in seen:
                seen.add(step)
                todo.append(step)
        if len(seen) > MAX_STEPS:
            return True
    return False


def _steps(at: _At, one: str, other: str, options: Options) -> Iterator[_At]:
    """Read one letter more of whichever is behind; where neither is, of one of them, or of the other."""
    if (not at.ahead or not at.is_one_ahead) and at.one < len(one):
        for text in options(one[at.one]):
            yield from _caught_up(_At(at.one + 1, at.other, at.ahead, False), text, is_one=True)
    if (at.is_one_ahead or (not at.ahead and at.one == len(one))) and at.other < len(other):
        for text in options(other[at.other]):
            yield from _caught_up(_At(at.one, at.other + 1, at.ahead, False), text, is_one=False)


def _caught_up(at: _At, text: str, *, is_one: bool) -> Iterator[_At]:
    if text.startswith(at.ahead):
        rest = text[len(at.ahead) :]
        yield at._replace(ahead=rest, is_one_ahead=bool(rest) and is_one)
    elif at.ahead.startswith(text):
        yield at._replace(ahead=at.ahead[len(text) :], is_one_ahead=not is_one)
