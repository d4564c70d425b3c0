"""Texts in base64 and hexadecimal within a text, found and decoded without a look at each word.

All of the text is decoded at once, at each place where a group of characters may begin: what stands before
an encoded text (``key/``, ``v1.``) may look like a part of it. What comes out is texts only where texts were
put in, so long runs of characters that are none are not looked at.
"""

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass

from agentflow.core.escapes import text_of
from agentflow.core.views import View

MIN_RUN = 6
"""Bytes in a row that must be those of characters to be a text; fewer come up by chance."""


def _table(kept: bytes, other: int, **also: int) -> bytes:
    table = bytearray([other] * 256)
    for byte in kept:
        table[byte] = byte
    for name, byte in also.items():
        table[ord(name)] = byte
    return bytes(table)


_DIGITS = b"0123456789"
_HEX_DIGITS = _DIGITS + b"abcdefABCDEF"
_ALPHABET = bytes(range(65, 91)) + bytes(range(97, 123)) + _DIGITS
_AS_BASE64 = _table(_ALPHABET + b"+/", ord("A"), **{"-": ord("+"), "_": ord("/")})
_AS_HEX = _table(_HEX_DIGITS, ord("0"))
_IS_HEX = bytes(120 if byte in _HEX_DIGITS else 46 for byte in range(256))
# x: a character of ASCII; l, c: the first byte of a longer one, the next; z: zero; a dot: in no text.
_KINDS = bytes(
    ord("x")
    if 32 <= byte < 127 or byte in b"\t\n\r"
    else ord("c" if 0x80 <= byte < 0xC0 else "l" if 0xC2 <= byte < 0xF5 else "." if byte else "z")
    for byte in range(256)
)
_CHARACTERS = re.compile(
    rb"(?:[\t\n\r\x20-\x7e]++|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
    # Latin-1, within words.
    rb"|[\xc0-\xff](?=[A-Za-z]{2}))++"
)
# UTF-16 that begins with ASCII: as far as it is that, and as far as its token goes.
_PLAIN_WIDE = re.compile(rb"(?:[\t\n\r\x20-\x7e]\0)++")
_WIDE = re.compile(rb"(?:(?!\0\0)[\s\S]{2})++")
# Each text of MIN_RUN characters has one of these in it.
_LETTERS = (b"xlcx", b"xlccx", b"lclc", b"lcclcc", b"lcclc", b"lclcc", b"xxxxxlc", b"lcxxxxx")
_PLAIN = (b"x" * MIN_RUN, b"xz" * MIN_RUN)
_SEEDS = (
    *((letters, _CHARACTERS) for letters in (_PLAIN[0], *_LETTERS)),
    (_PLAIN[1], _PLAIN_WIDE),
    (_PLAIN[1], _WIDE),
)
_TOKEN = re.compile(rb"[A-Za-z0-9+/_-]+")
_LONG = re.compile(rb"[A-Za-z0-9+/_-]{8,}")
"""Tokens that may say ``MIN_RUN`` characters."""
_WRAPPED = re.compile(r"\n[ \t]{0,8}(?=[A-Za-z0-9+/]{2})")
_IS_LINE = re.compile(r"[A-Za-z0-9+/]{60,76}")


def decoded(view: View) -> View | None:
    """A view of what the view's tokens say; ``None`` where they say nothing."""
    whole = _unwrapped(view)
    return whole.joined(_texts(whole.text.encode("ascii", "replace")))


def _unwrapped(view: View) -> View:
    """The view with each token in one line: mail and PEM break long ones."""
    if not any(_IS_LINE.fullmatch(line.strip()) for line in view.text.split("\n") if " " not in line.strip()):
        return view
    return view.replaced(_WRAPPED, lambda line: "" if _is_broken(line) else line[0])


def _is_broken(line: re.Match[str]) -> bool:
    before = line.string[max(0, line.start() - 61) : line.start()].rstrip("\r")
    return _IS_LINE.fullmatch(before[-60:]) is not None


def _texts(data: bytes) -> Iterator[tuple[str, int, int]]:
    """The texts that tokens stand for, each with where its token is."""
    tokens = b" ".join(_LONG.findall(data))
    if not tokens:
        return
    if _says(b"".join(_groups(tokens.translate(_AS_BASE64)))):
        for shift, groups in enumerate(_groups(data.translate(_AS_BASE64))):
            for text, start, end in _runs(binascii.a2b_base64(groups), _Ends(data, shift, 3, 4)):
                yield text, shift + start // 3 * 4, min(shift + (end + 2) // 3 * 4, len(data))
    if b"x" * (2 * MIN_RUN) in tokens.translate(_IS_HEX):
        digits = data.translate(_AS_HEX).decode()
        for shift in range(2):
            token = digits[shift:]
            for text, start, end in _runs(
                bytes.fromhex(token[: len(token) // 2 * 2]), _Ends(data, shift, 1, 2)
            ):
                yield text, shift + start * 2, shift + end * 2


def _groups(base64: bytes) -> list[bytes]:
    """Base64 in whole groups, from each place where one may begin."""
    return [base64[shift:].ljust((len(base64) - shift + 3) // 4 * 4, b"A") for shift in range(4)]


def _says(base64: bytes) -> bool:
    """Whether there is a text in it: quicker than to find where."""
    data = binascii.a2b_base64(base64)
    kinds = data.translate(_KINDS)
    if any(seed in kinds for seed in _PLAIN):
        return True
    if b"lc" not in kinds:
        return False
    for letters in _LETTERS:
        at = kinds.find(letters)
        while at >= 0:
            match = _CHARACTERS.match(data, _first(data, at, 0))
            if match and len(match[0]) >= MIN_RUN:
                return True
            at = kinds.find(letters, max(match.end() if match else 0, at + 1))
    return False


@dataclass(frozen=True)
class _Ends:
    """Where tokens end in what was decoded of a text in groups, ``size`` bytes of ``width`` characters."""

    text: bytes
    shift: int
    size: int
    width: int

    def behind(self, at: int) -> int:
        """The end of the token that a byte is of."""
        start = self.shift + at // self.size * self.width
        token = _TOKEN.match(self.text, start)
        return (((token.end() if token else start) - self.shift) * self.size) // self.width


def _runs(data: bytes, ends: _Ends) -> Iterator[tuple[str, int, int]]:
    """The texts in some bytes, and where they are."""
    kinds, seen = data.translate(_KINDS), set[tuple[int, int]]()
    for seed, characters in _SEEDS:
        past = 0
        while (at := kinds.find(seed, past)) >= 0:
            if characters is _CHARACTERS:
                match = characters.match(data, _first(data, at, past))
            else:
                match = characters.match(data, at, ends.behind(at))
            past = max(match.end() if match else 0, at + 1)
            if match and len(match[0]) >= MIN_RUN and match.span() not in seen:
                seen.add(match.span())
                yield _text(match[0]), *match.span()


def _first(data: bytes, at: int, past: int) -> int:
    """Where a text begins of which some characters are known, behind another one."""
    while at > past:
        for length in (1, 2, 3, 4):
            if at - length >= past and _CHARACTERS.fullmatch(data, at - length, at):
                at -= length
                break
        else:
            is_letter = data[at - 1] >= 0xC0 and data[at : at + 2].isalpha()
            return at - 1 if is_letter else at
    return at


def _text(data: bytes) -> str:
    return data.decode("utf-16-le", "replace") if data[1:2] == b"\0" else text_of(data)
