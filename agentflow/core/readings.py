"""What a text says once it is decoded: as JSON, HTML, URLs and Markdown write it, one within the other."""

import html
import re
from collections.abc import Callable, Iterator
from urllib.parse import unquote

DEPTH = 3
"""Encodings within each other that are looked through."""
MAX_DECODED = 2_000_000
"""Characters of all readings of one text."""

_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_SHORT = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


class TooManyReadingsError(ValueError):
    """A text can be read in more ways than are looked at."""


def readings(text: str) -> Iterator[str]:
    """The text itself, then each text that decoding makes of it, ``DEPTH`` times over.

    Raises:
        TooManyReadingsError: they are longer than ``MAX_DECODED`` characters in all.
    """
    yield text
    seen, level, size = {text}, [text], 0
    for _ in range(DEPTH):
        found = dict.fromkeys(decode(one) for one in level for marks, decode in _DECODERS if marks in one)
        level = [one for one in found if one not in seen]
        seen.update(level)
        size += sum(map(len, level))
        if size > MAX_DECODED:
            raise TooManyReadingsError(
                f"what decoding makes of the text is longer than {MAX_DECODED} characters: send it in parts"
            )
        yield from level


def squeezed(text: str) -> str:
    """The text with one space in place of whatever white space it has, and none around it."""
    return " ".join(text.split())


def _unescaped(text: str) -> str:
    """Without the backslashes of JSON, of Python and of Markdown."""
    plain = _ESCAPE.sub(_character, text)
    # Two escapes of JSON make one character of those that UTF-16 has in pairs.
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _character(match: re.Match[str]) -> str:
    code = match[1] or match[2]
    return chr(int(code, 16)) if code else _SHORT.get(match[3], match[3])


def _unquoted(text: str) -> str:
    return unquote(text, errors="replace")


_DECODERS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("&", html.unescape),
    ("%", _unquoted),
    ("\\", _unescaped),
)
"""Each with the character without which it changes nothing."""
