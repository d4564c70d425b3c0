r"""Patterns of JSON Schema in the spelling of an engine whose work is linear in the text.

JSON Schema's ``pattern`` is a regular expression of ECMA-262. Python's engine reads most of them, some
otherwise (``$`` before a last newline, ``\d`` for digits of all scripts), and takes exponential time for
a few: an argument of 35 characters can stop a worker. Rust's ``regex``, which pydantic brings along,
never goes back in the text; so it has no look-around and no back-references, and a pattern with one is
refused.

    ECMA-262 ── ``translated`` ──▶ Rust's regex ── ``compiled`` ──▶ a test of one text

Besides ECMA-262 with its ``u`` flag, what authors write who test their patterns elsewhere is taken where
it can mean one thing: ``(?i)``, ``(?P<name>…)``, ``\A``, ``\z``, ``\Z``, and what Annex B lets stand for
itself.
"""

import re
from collections.abc import Callable
from functools import lru_cache

from pydantic_core import SchemaError, SchemaValidator, core_schema

MAX_PATTERN = 5_000
"""Characters of a pattern. The engine bounds what it compiles to, at 10 MB, and not the time."""

Test = Callable[[str], bool]
"""Whether a pattern is found anywhere in a text."""

# A count of one class and nothing else bounds a length: of its states only one is alive at a time.
_LENGTH = re.compile(r"\^(?:\.|\[(?:[^\\\]]|\\.)+\]|\\[dDwWsS])\{\d{1,5}(?:,\d{0,5})?\}\$", re.DOTALL)

_DIGITS = "0-9"
_WORDS = "0-9A-Z_a-z"
# ECMA-262, WhiteSpace and LineTerminator.
_SPACES = r"\t\n\x0B\x0C\r \x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}\x{FEFF}"
_CLASSES = {"d": _DIGITS, "w": _WORDS, "s": _SPACES}
_CONTROLS = {"t": r"\t", "n": r"\n", "v": r"\x0B", "f": r"\x0C", "r": r"\r", "0": r"\x00"}
_ANCHORS = {"b": r"(?-u:\b)", "B": r"(?-u:\B)", "A": r"\A", "z": r"\z", "Z": r"\z"}
_NOT_A_LINE_END = r"[^\n\r\x{2028}\x{2029}]"
_NOTHING, _ANYTHING = r"[^\x00-\x{10FFFF}]", r"[\x00-\x{10FFFF}]"

_ESCAPED = re.compile(
    r"\\(?:x(?P<hex>[0-9A-Fa-f]{2})"
    r"|u(?P<high>[Dd][89ABab][0-9A-Fa-f]{2})\\u(?P<low>[Dd][C-Fc-f][0-9A-Fa-f]{2})"
    r"|u(?P<four>[0-9A-Fa-f]{4})|u\{(?P<any>[0-9A-Fa-f]{1,6})\}"
    r"|c(?P<control>[A-Za-z])"
    r"|(?P<property>[pP]\{[A-Za-z0-9_=]{1,60}\}|[pP][A-Z])"
    r"|(?P<one>.))",
    re.DOTALL,
)
_QUANTIFIER = re.compile(r"\{(\d{1,5})(?:,(\d{0,5}))?\}")
_GROUP = re.compile(r"\((?:\?(?::|P?<(?![=!])[A-Za-z_][A-Za-z0-9_]{0,60}>|[ims]{1,3}[:)]))?")
_UNTAKEN = {
    "(?=": "looks ahead",
    "(?!": "looks ahead",
    "(?<=": "looks back",
    "(?<!": "looks back",
    "(?>": "has an atomic group",
    "(?#": "has a comment",
}


class PatternError(ValueError):
    """A pattern can't be tested in linear time, or isn't one. The text says why, and what to do."""


@lru_cache(maxsize=4_096)
def compiled(pattern: str) -> Test:
    """A test for a pattern, anywhere in a text. A text that isn't Unicode (a lone surrogate) has none.

    Raises:
        PatternError: it can't be tested in linear time, or isn't a pattern.
    """
    spelled = translated(pattern)
    try:
        schema = core_schema.str_schema(pattern=spelled, regex_engine="rust-regex", strict=True)
        return SchemaValidator(schema).isinstance_python
    except SchemaError as error:
        problem = f"{error}".strip().splitlines()[-1].removeprefix("error: ")
        raise _refused(pattern, problem) from None


@lru_cache(maxsize=4_096)
def states_of(pattern: str) -> int:
    """How many states of a pattern may be alive at one place of a text: each byte takes as much work.

    Raises:
        PatternError: as ``translated`` does.
    """
    if _LENGTH.fullmatch(pattern):
        return 1
    reader = _Reader(_bounded(pattern))
    reader.all()
    return reader.states


def translated(pattern: str) -> str:
    """A pattern of ECMA-262 in the spelling of Rust's ``regex``.

    Raises:
        PatternError: there is no such spelling, or it is longer than ``MAX_PATTERN``.
    """
    return _Reader(_bounded(pattern)).all()


def _bounded(pattern: str) -> str:
    if len(pattern) > MAX_PATTERN:
        raise _refused(pattern, f"has {len(pattern):,} characters, and {MAX_PATTERN:,} are the most")
    return pattern


class _Reader:
    """Reads one pattern from left to right."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        # States of each group that is open, and of what a quantifier would repeat.
        self._open = [0]
        self._last = 0

    @property
    def states(self) -> int:
        """States of what was read, counts written out."""
        return max(sum(self._open), 1)

    def _counts(self, states: int) -> None:
        self._open[-1] += states
        self._last = states

    def all(self) -> str:
        parts: list[str] = []
        while self._at < len(self._pattern):
            parts.append(self._term())
        return "".join(parts)

    def _term(self) -> str:
        character = self._pattern[self._at]
        if character not in "()|^$*+?{":
            self._counts(1)
        if character in "\\[({":
            return self._longer(character)
        self._at += 1
        if character == ".":
            return _NOT_A_LINE_END
        if character in "*+?":
            return self._repeated(character)
        return self._closed(character) if character in ")|^$" else _literal(character)

    def _closed(self, character: str) -> str:
        if character == ")" and len(self._open) > 1:
            self._counts(self._open.pop() + 1)
        return character

    def _longer(self, character: str) -> str:
        match character:
            case "\\":
                return self._escape(inside=False)
            case "[":
                return self._class()
            case "(":
                return self._group()
            case _:
                return self._quantifier()

    def _group(self) -> str:
        rest = self._pattern[self._at : self._at + 4]
        for opening, what in _UNTAKEN.items():
            if rest.startswith(opening):
                raise _refused(self._pattern, f"{what} ({opening}…)")
        match = _GROUP.match(self._pattern, self._at)
        assert match
        if match[0] == "(" and rest.startswith("(?"):
            raise _refused(self._pattern, f"has a group that ECMA-262 doesn't know ({rest}…)")
        self._at = match.end()
        if not match[0].endswith(")"):
            self._open.append(0)
        return match[0]

    def _quantifier(self) -> str:
        match = _QUANTIFIER.match(self._pattern, self._at)
        if match is None:
            # As in Annex B: what is no quantifier is a bracket.
            self._at += 1
            self._counts(1)
            return r"\{"
        self._at = match.end()
        more = self._last * (max(int(match[1]), int(match[2] or 0), 1) - 1)
        self._open[-1] += more
        self._last += more
        return self._repeated(match[0])

    def _repeated(self, quantifier: str) -> str:
        """A quantifier, and the ``?`` that makes it lazy. Another after it is none of ECMA-262's."""
        if self._pattern.startswith("?", self._at):
            self._at += 1
            quantifier += "?"
        rest = self._pattern[self._at : self._at + 1]
        if rest in ("*", "+", "?") or (rest == "{" and _QUANTIFIER.match(self._pattern, self._at)):
            raise _refused(self._pattern, f"has a quantifier after a quantifier ({quantifier}{rest})")
        return quantifier

    def _class(self) -> str:
        self._at += 1
        is_negated = self._pattern.startswith("^", self._at)
        self._at += is_negated
        parts: list[str] = []
        while True:
            if self._at >= len(self._pattern):
                raise _refused(self._pattern, "has a [ that nothing closes")
            character = self._pattern[self._at]
            if character == "]":
                self._at += 1
                break
            if character == "\\":
                parts.append(self._escape(inside=True))
                continue
            self._at += 1
            parts.append(character if character == "-" else _literal(character))
        if not parts:
            return _ANYTHING if is_negated else _NOTHING
        return f"[{'^' if is_negated else ''}{_with_plain_hyphens(parts)}]"

    def _escape(self, *, inside: bool) -> str:
        match = _ESCAPED.match(self._pattern, self._at)
        if match is None:
            raise _refused(self._pattern, r"ends with a \ ")
        self._at = match.end()
        if match["property"]:
            return match[0]
        if match["one"]:
            return self._escaped(match["one"], inside=inside)
        if match["control"]:
            return _character(ord(match["control"]) % 32)
        if match["high"]:
            high, low = int(match["high"], 16), int(match["low"], 16)
            return _character(0x10000 + ((high & 0x3FF) << 10) + (low & 0x3FF))
        code = int(match["hex"] or match["four"] or match["any"], 16)
        if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            raise _refused(self._pattern, f"has half a character or none ({match[0]})")
        return _character(code)

    def _escaped(self, one: str, *, inside: bool) -> str:
        if found := _CLASSES.get(one.lower()):
            is_not = one.isupper()
            if inside:
                return f"[^{found}]" if is_not else found
            return f"[{'^' if is_not else ''}{found}]"
        if inside and one == "b":
            return r"\x08"
        if one in _CONTROLS and not (one == "0" and self._pattern[self._at : self._at + 1].isdigit()):
            return _CONTROLS[one]
        if not inside and one in _ANCHORS:
            return _ANCHORS[one]
        if one.isdigit() or one == "k":
            raise _refused(self._pattern, rf"refers back to what a group found (\{one})")
        if one.isalpha():
            raise _refused(self._pattern, rf"has an escape that ECMA-262 doesn't know (\{one})")
        return _literal(one)


def _with_plain_hyphens(parts: list[str]) -> str:
    r"""The parts of a class; a hyphen that makes no range stands for itself: ``[a-]``, ``[\w-.]``."""
    made: list[str] = []
    for place, part in enumerate(parts):
        if part != "-":
            made.append(part)
            continue
        around = (parts[place - 1] if place else None, parts[place + 1] if place + 1 < len(parts) else None)
        is_range = all(end is not None and _is_one_character(end) for end in around)
        # The hyphen after a range begins none: [a-c-e].
        is_free = not (place >= 2 and parts[place - 2] == "-" and made[-2:-1] == ["-"])
        made.append("-" if is_range and is_free else r"\-")
    return "".join(made)


def _is_one_character(part: str) -> bool:
    return part not in ("-", *_CLASSES.values()) and not part.startswith(("[^", r"\p", r"\P"))


def _character(code: int) -> str:
    return f"\\x{{{code:X}}}"


def _literal(character: str) -> str:
    """A character that stands for itself, in a class too."""
    is_plain = character.isalnum() or character == "_" or ord(character) > 0x7F
    return character if is_plain else _character(ord(character))


def _refused(pattern: str, problem: str) -> PatternError:
    return PatternError(
        f"the pattern {pattern[:80]!r} {problem}: patterns are tested in time that grows as the text's "
        "length does; say it without, or leave the pattern out of the schema and check the value in the tool"
    )
