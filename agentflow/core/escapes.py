r"""Escapes in a text, decoded: of JSON, JavaScript and Python, HTML and XML, URLs and forms, Markdown, mail.

All at once, each for what it stands for: where one is within another, decoding again decodes the next. Or
each kind by itself, as a reader does that knows no other.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from html import unescape

from agentflow.core.views import Decoder, View

_HEX = "[0-9a-fA-F]"


@dataclass(frozen=True)
class _Kind:
    """One way to write a character as others."""

    first: str
    """What each begins with, by which the engine finds them fast."""
    pattern: str
    decoded: Callable[[str], str]


def _of_backslash(escape: str) -> str:
    rest = escape[1:]
    if len(rest) == 1:
        # Before what means nothing by itself it takes the meaning away.
        return _LETTERS.get(rest, rest)
    if rest[0] == "x":
        return text_of(bytes.fromhex(escape.replace("\\x", "")))
    if rest[0].isdigit():
        return text_of(bytes(int(octal, 8) for octal in rest.split("\\")))
    if rest[0] == "U" or rest[1] == "{":
        point = int(rest[1:].strip("{}"), 16)
        return chr(point) if point < 0x110000 else escape
    units = b"".join(int(unit, 16).to_bytes(2, "big") for unit in escape.split("\\u")[1:])
    return units.decode("utf-16-be", "surrogatepass")


def _of_percent(escape: str) -> str:
    if escape[1] == "u":
        return chr(int(escape[2:], 16))
    return text_of(bytes.fromhex(escape.replace("%", "")))


def _of_ampersand(escape: str) -> str:
    return unescape(_ZEROS.sub(r"\1", escape))


def _of_mail(escape: str) -> str:
    return text_of(bytes.fromhex(_BREAKS.sub("", escape).replace("=", "")))


_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "a": "\a", "0": "\0", "\n": ""}
_ZEROS = re.compile(r"(&#[xX]?)0+(?=[0-9a-fA-F])")
_KINDS = (
    # JSON, JavaScript, Python, C, shells, Markdown:
    # \n \" \/ \u00fc \ud83d\ude00 \u{1f600} \U0001f600 \xc3\xbc \303\274
    _Kind(
        "\\",
        rf"\\(?:u{{{_HEX}{{1,6}}}}|U{_HEX}{{8}}|u{_HEX}{{4}}(?:\\u{_HEX}{{4}})*"
        rf"|x{_HEX}{{2}}(?:\\x{_HEX}{{2}})*|[0-3][0-7]{{2}}(?:\\[0-3][0-7]{{2}})*|[\s\S])",
        _of_backslash,
    ),
    _Kind("%", rf"%{_HEX}{{2}}(?:%{_HEX}{{2}})*|%u{_HEX}{{4}}", _of_percent),
    # A line of mail may end within one.
    _Kind(
        "&", rf"&(?:#0*+[0-9]{{1,7}}+|#[xX]0*+{_HEX}{{1,6}}+|[A-Za-z][A-Za-z0-9]{{1,30}}+);?", _of_ampersand
    ),
    # A quotation mark within a shell's quotes.
    _Kind("'\"'\"'", r"""'"'"'""", lambda _: "'"),
)
_DECODED = {kind.first[0]: kind.decoded for kind in _KINDS}
_ESCAPE = re.compile("|".join(kind.pattern for kind in _KINDS))
# Quoted-printable, of what it must write so. By itself: in a form, =DE begins a value. Lines are put
# together before anything else is decoded, since they may be broken within an escape.
_BREAK = r"=(?:\r?\n|(?:\\{1,8}r)?\\{1,8}n|(?:%0[Dd])?%0[Aa]|(?:&#13;)?&#10;)"
_QUOTED = re.compile(rf"=[89A-F][0-9A-F](?:(?:{_BREAK})?=[89A-F][0-9A-F])*|=3D|{_BREAK}")
_BREAKS = re.compile(_BREAK)


def unescaped(view: View) -> View | None:
    """The view with its escapes decoded; ``None`` where there are none."""
    if not any(kind.first in view.text for kind in _KINDS):
        return None
    return _decoded(view, _ESCAPE)


def unquoted(view: View) -> View | None:
    """The view with what mail quotes (quoted-printable) decoded; ``None`` where there is nothing."""
    if "=" not in view.text:
        return None
    decoded = view.replaced(_QUOTED, lambda match: _of_mail(match[0]))
    return None if decoded is view else decoded


def text_of(data: bytes) -> str:
    """Bytes as UTF-8, and those that are none as Latin-1."""
    text = data.decode("utf-8", "surrogateescape")
    return "".join(chr(ord(char) - 0xDC00) if "\udc80" <= char <= "\udcff" else char for char in text)


def _decoded(view: View, pattern: re.Pattern[str]) -> View | None:
    texts: dict[str, str] = {}

    def decode(match: re.Match[str]) -> str:
        escape = match[0]
        if (text := texts.get(escape)) is None:
            text = texts[escape] = _DECODED[escape[0]](escape)
        return text

    decoded = view.replaced(pattern, decode)
    if decoded is view:
        return None
    decoded.is_meant = any(map(_is_meant, texts.items()))
    return decoded


def _is_meant(escape: tuple[str, str]) -> bool:
    """Whether it is sure that something was escaped. Of a letter that means nothing nobody knows."""
    written, text = escape
    return text != written and not (text.isalpha() and written == f"\\{text}")


def _by_itself(kind: _Kind) -> Decoder:
    others = [other.first for other in _KINDS if other is not kind]
    pattern = re.compile(kind.pattern)

    def decode(view: View) -> View | None:
        # Where there is no other kind, all at once is the same.
        if kind.first not in view.text or not any(first in view.text for first in others):
            return None
        return _decoded(view, pattern)

    return decode


EACH_BY_ITSELF: tuple[Decoder, ...] = tuple(map(_by_itself, _KINDS))
"""Decode one kind of escapes, where there are others."""
