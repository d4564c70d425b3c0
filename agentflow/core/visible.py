"""Others' text as it is shown to people: each character is seen, or written out.

Names, arguments and reasons come from models and strangers. What a person decides on must be what is there:
no control sequences, nothing that turns the direction of reading, nothing that takes no room. So it is an
allowlist, by Unicode's own properties (``visible_characters``): letters, marks, numbers, punctuation and
symbols that have a shape. The rest is written as JSON escapes it, so that arguments that are shown stay JSON.
"""

from bisect import bisect
from functools import lru_cache
from itertools import accumulate

from agentflow.core.visible_characters import RUNS

MAX_MARKS = 8
"""Marks on one character, of which no language writes as many: more would cover the lines around them."""

_RUNS = tuple((int(run[:-1], 16), run[-1]) for run in RUNS.split())
_ENDS = tuple(accumulate(length for length, _ in _RUNS))
_NAMED = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def visible(text: str) -> str:
    """The text with all that isn't plainly visible written out; line breaks, tabs and spaces stay.

    A mark is shown on a letter, a digit or a sign outside of ASCII, and written out elsewhere: on a space it
    is easily not seen, and on a quotation mark it is taken for one.
    """
    if text.isascii() and text.isprintable():
        return text
    parts: list[str] = []
    # How many marks the character before has room for.
    room = 0
    for char in text:
        kind = _kind(char)
        if kind == "v":
            room = 0 if char.isascii() and not char.isalnum() else MAX_MARKS
        elif kind == "m" and room:
            room -= 1
        else:
            room = 0
            parts.append(char if char in " \n\t" else _escaped(char))
            continue
        parts.append(char)
    return "".join(parts)


def visible_line(text: str) -> str:
    """The text as one line: line breaks and tabs are written out as well."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def has_shape(char: str) -> bool:
    """Whether something is seen of a character, by itself or on another. Of one that is space, nothing is."""
    return _kind(char) != "-"


@lru_cache(maxsize=16_384)
def _kind(char: str) -> str:
    """``v``: visible by itself; ``m``: a mark, visible on another; ``-``: neither."""
    return _RUNS[bisect(_ENDS, ord(char))][1]


def _escaped(char: str) -> str:
    if char in _NAMED:
        return _NAMED[char]
    point = ord(char)
    if point < 0x10000:
        return f"\\u{point:04x}"
    return f"\\u{0xD800 + (point - 0x10000 >> 10):04x}\\u{0xDC00 + (point & 0x3FF):04x}"
