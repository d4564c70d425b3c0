r"""Escapes in a text, decoded: of JSON, JavaScript and Python, HTML and XML, URLs and forms, mail.

All at once, each for what it stands for: where one is within another, decoding again decodes the next.
"""

import re
from html import unescape

from agentflow.core.views import View

_HEX = "[0-9a-fA-F]"
_ESCAPE = re.compile(
    # Each begins with one of few characters, by which the engine finds them fast.
    # JSON, JavaScript, Python, C, shells: \n \" \/ \u00fc \ud83d\ude00 \u{1f600} \U0001f600 \xc3\xbc \303\274
    rf"\\(?:u{{{_HEX}{{1,6}}}}|U{_HEX}{{8}}|u{_HEX}{{4}}(?:\\u{_HEX}{{4}})*"
    rf"|x{_HEX}{{2}}(?:\\x{_HEX}{{2}})*|[0-3][0-7]{{2}}(?:\\[0-3][0-7]{{2}})*|[^\W\d_]|[^\w]|0)"
    rf"|%{_HEX}{{2}}(?:%{_HEX}{{2}})*|%u{_HEX}{{4}}"
    # A line of mail may end within one.
    r"|&(?:#[0-9]{1,7}+|#[xX][0-9a-fA-F]{1,6}+|[A-Za-z][A-Za-z0-9]{1,30}+)(?:;|(?!=))"
    # A quotation mark within a shell's quotes.
    r"""|'"'"'"""
)
# Quoted-printable, of what it must write so. By itself: in a form, =DE begins a value. Lines are put
# together before anything else is decoded, since they may be broken within an escape.
_BREAK = r"=(?:\r?\n|(?:\\{1,8}r)?\\{1,8}n|(?:%0[Dd])?%0[Aa]|(?:&#13;)?&#10;)"
_QUOTED = re.compile(rf"=[89A-F][0-9A-F](?:(?:{_BREAK})?=[89A-F][0-9A-F])*|=3D|{_BREAK}")
_BREAKS = re.compile(_BREAK)
_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "a": "\a", "0": "\0", "\n": ""}
_FIRST = ("\\", "%", "&", "'\"'\"'")


def unescaped(view: View) -> View | None:
    """The view with its escapes decoded; ``None`` where there are none."""
    if not any(first in view.text for first in _FIRST):
        return None
    decoded = view.replaced(_ESCAPE, _decoded)
    return None if decoded is view else decoded


def unquoted(view: View) -> View | None:
    """The view with what mail quotes (quoted-printable) decoded; ``None`` where there is nothing."""
    if "=" not in view.text:
        return None
    decoded = view.replaced(_QUOTED, _of_mail)
    return None if decoded is view else decoded


def _of_mail(match: re.Match[str]) -> str:
    return _of_bytes(bytes.fromhex(_BREAKS.sub("", match[0]).replace("=", "")))


def _decoded(match: re.Match[str]) -> str:
    escape = match[0]
    match escape[0]:
        case "\\":
            return _of_backslash(escape)
        case "&":
            return unescape(escape)
        case "%" if escape[1] == "u":
            return chr(int(escape[2:], 16))
        case "%":
            return _of_bytes(bytes.fromhex(escape.replace("%", "")))
        case _:
            return "'"


def _of_backslash(escape: str) -> str:
    rest = escape[1:]
    if len(rest) == 1:
        # Of a letter that means nothing nothing is known; before all else it takes the meaning away.
        return _LETTERS.get(rest, escape if rest.isalpha() else rest)
    if rest[0] == "x":
        return _of_bytes(bytes.fromhex(escape.replace("\\x", "")))
    if rest[0].isdigit():
        return _of_bytes(bytes(int(octal, 8) for octal in rest.split("\\")))
    if rest[0] == "U" or rest[1] == "{":
        point = int(rest[1:].strip("{}"), 16)
        return chr(point) if point < 0x110000 else escape
    units = b"".join(int(unit, 16).to_bytes(2, "big") for unit in escape.split("\\u")[1:])
    return units.decode("utf-16-be", "surrogatepass")


def _of_bytes(data: bytes) -> str:
    """Bytes as UTF-8; those that are none, as Latin-1."""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("latin-1")
