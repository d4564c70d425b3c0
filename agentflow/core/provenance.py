"""Where values come from, and which of them a run may take at its word.

Trusted are the agent's instructions, what the person who asked for the run gave (but for the parts that
outsiders wrote), what people said since, and the outputs of tools whose contract says so, as far as their
arguments were trusted. Everything else is data: it may be read, summarised and quoted, and where it says whom
to pay or what to delete, a rule can have a person asked.

Values are compared exactly, code point by code point. Short ones (under three characters, or whole numbers of
fewer than four digits) are no evidence in a text, where "13" may be a day: they count only in a field that
has the argument's name.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import cast

from agentflow.contracts.tools import ToolContract
from agentflow.contracts.wire import Json, canonical_json
from agentflow.core.defaults import without_defaults
from agentflow.core.frozen_json import frozen

MODEL = "model"
"""Origin of a value that was seen nowhere: the model made it."""
NOTHING = "nothing"
"""Label of an argument that says nothing: null, or an empty text or list."""

_MIN_TEXT = 3
_MIN_DIGITS = 4
_SEPARATOR = "\0"
"""Between the texts of one source. A value that has it is trusted by none."""

# A number in a text: with a currency sign, with a fraction, or of at least four digits. Neither a part of a
# date, a time or a word.
_NUMBER = re.compile(r"(?<![\w.,:/-])([$€£¥]\s?)?(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(?![\w/:-]|[.,]\d)")

# Each alternative begins where no character of its own kind comes before, so that a long text is read once.
_LINK = re.compile(
    r"""(?<![\w+.-])[a-z][a-z0-9+.-]{0,30}://[^\s<>"']+"""
    r"""|(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+"""
    r"""|(?<![\w@.-])(?:[\w-]+\.)+[^\W\d_]{2,24}(?::\d+)?(?:/[^\s<>"']*)?"""
    r"""|(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])""",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class PastCall:
    """A tool call of this run that has been carried out."""

    call_id: str
    tool: str
    arguments: Mapping[str, Json]
    output: Json

    def __post_init__(self) -> None:
        """Freeze what it was: rules look at it, and citations rest on it."""
        object.__setattr__(self, "arguments", frozen(dict(self.arguments)))
        object.__setattr__(self, "output", frozen(self.output))

    @cached_property
    def said(self) -> str:
        """The output as text, made when it is first looked at."""
        return _text(self.output)

    @cached_property
    def values(self) -> frozenset[str]:
        """What the output says, taken apart: each value as text."""
        return frozenset(_canonical(leaf) for leaf, _ in _leaves(self.output, ""))


@dataclass(frozen=True)
class _Source:
    """One thing that is trusted, taken apart."""

    label: str
    text: str
    numbers: frozenset[Decimal]
    """Those in the text that are evidence."""
    fields: Mapping[str, frozenset[str]]
    """Each value, and the names of the fields that have it."""

    def has(self, value: str | Decimal, field: str) -> bool:
        names = self.fields.get(_canonical(value))
        if names is not None and (_is_telling(value) or field in names):
            return True
        if isinstance(value, Decimal):
            # A small whole number is as likely an id that somebody chose to be found.
            return value in self.numbers and (_has_fraction(value) or _is_telling(value))
        return _is_telling(value) and _occurs(value, self.text)

    def mentions(self, value: str | Decimal) -> bool:
        """Whether it says a value at all, be it too short to be evidence."""
        text = _canonical(value)
        return text in self.fields or _occurs(text, self.text)


@dataclass(frozen=True)
class UntrustedSink:
    """A value that goes to a sink, and that nothing trusted has."""

    argument: str
    value: Json


@dataclass(frozen=True)
class Provenance:
    """What a run may take at its word. Immutable: each addition is a new one."""

    sources: tuple[_Source, ...] = ()

    @staticmethod
    def of_task(instructions: str, task_input: Json, untrusted: Sequence[str]) -> "Provenance":
        """What a run may take at its word when it begins.

        Args:
            instructions: The agent's.
            task_input: The task's, as JSON.
            untrusted: JSON Pointers to the parts of it that outsiders wrote.
        """
        said = Provenance().plus("instruction", instructions)
        return said.plus("task", without(task_input, untrusted))

    def plus(self, label: str, value: Json, *, as_text: bool = True) -> "Provenance":
        """With one more trusted value: a text, or any JSON.

        Args:
            label: Why it is trusted.
            value: What is.
            as_text: Whether its texts are evidence for the words in them, as what people write is. Else only
                whole values are.

        What has no canonical form is left out: nothing is trusted for its sake.
        """
        try:
            leaves = list(_leaves(value, ""))
        except (ValueError, ArithmeticError, RecursionError):
            return self
        fields: dict[str, set[str]] = {}
        for leaf, field in leaves:
            fields.setdefault(_canonical(leaf), set()).add(field)
        texts = [leaf for leaf, _ in leaves if isinstance(leaf, str)] if as_text else []
        text = _SEPARATOR.join(texts)
        amounts = {leaf for leaf, _ in leaves if isinstance(leaf, Decimal) and _has_fraction(leaf)}
        names = {value: frozenset(found) for value, found in fields.items()}
        return Provenance((*self.sources, _Source(label, text, _numbers(text) | amounts, names)))

    def after(self, contract: ToolContract, call: PastCall) -> "Provenance":
        """With a tool's output, if its contract vouches for it and no argument was untrusted.

        An output takes the join of the labels of what went in: a look-up in a trusted directory for a name
        that an e-mail gave says what the e-mail wanted to be said.
        """
        if not contract.trusted_output:
            return self
        given = without_defaults(contract.input_schema, call.arguments)
        if any(self.label(value, name) is None for name, value in given.items()):
            return self
        # By whole values only: a name in a directory may be a sentence that somebody chose.
        return self.plus(f"tool:{call.tool}", call.output, as_text=False)

    def label(self, value: Json, field: str) -> str | None:
        """The label of what a value is trusted for, or ``None``. Of a list or object, all parts must be.

        Args:
            value: An argument, or a part of one.
            field: The argument's name.
        """
        label = NOTHING
        try:
            for leaf, name in _leaves(value, field):
                found = next((source.label for source in self.sources if source.has(leaf, name)), None)
                if found is None:
                    return None
                label = found
        except (ValueError, ArithmeticError, RecursionError):
            return None
        return label

    def untrusted_sinks(
        self, contract: ToolContract, arguments: Mapping[str, Json]
    ) -> tuple[UntrustedSink, ...]:
        """The values that go to a sink of the tool, and that nothing trusted has.

        Where the contract doesn't say which arguments are sinks, all are. A default is the contract's own
        word: whoever leaves the argument out says the same.
        """
        return tuple(
            UntrustedSink(argument, value)
            for argument, value in _sink_values(contract, without_defaults(contract.input_schema, arguments))
            if self.label(value, argument) is None
        )

    def origins(self, arguments: Mapping[str, Json], past_calls: Sequence[PastCall]) -> dict[str, str]:
        """For each argument, for the person who must decide: what it is trusted for, or else its origin.

        ``instruction``, ``task``, ``person``, ``tool:<name>``, or ``model`` when its value was seen nowhere.
        With a question mark, as in ``task?``, where the value is there and too short to be evidence.
        """
        return {
            name: self.label(value, name) or self._origin(value, past_calls)
            for name, value in arguments.items()
        }

    def _origin(self, value: Json, past_calls: Sequence[PastCall]) -> str:
        """Who said a value first. Coarse, and meant for reading."""
        try:
            leaves = [leaf for leaf, _ in _leaves(value, "")]
        except (ValueError, ArithmeticError, RecursionError):
            return MODEL
        for source in self.sources:
            if all(source.mentions(leaf) for leaf in leaves):
                return f"{source.label}?"
        written = [_text(_canonical(leaf)).strip('"') for leaf in leaves]
        for call in past_calls:
            if all(needle in call.said for needle in written):
                return f"tool:{call.tool}"
        return MODEL


def without(value: Json, pointers: Sequence[str]) -> Json:
    """A JSON value without the parts that JSON Pointers (RFC 6901) name; ``""`` names all of it.

    A pointer that names nothing takes nothing away, and ``/items/-/body`` names the body of each item.
    """
    for pointer in pointers:
        value = _without(
            value, [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
        )
    return value


def links(text: str) -> tuple[str, ...]:
    """The places that a text names: URLs, host names, e-mail addresses.

    Full-width dots and invisible characters hide none; words made of them on purpose ("evil dot com") do.
    """
    visible = "".join(c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf")
    found = (match[0].rstrip(".,;:!?)]}") for match in _LINK.finditer(visible))
    return tuple(dict.fromkeys(found))


def _without(value: Json, path: Sequence[str]) -> Json:
    if not path:
        return None
    name, rest = path[0], path[1:]
    if isinstance(value, dict):
        parts = cast(dict[str, Json], value)
        return {key: _without(part, rest) if key == name else part for key, part in parts.items()}
    if isinstance(value, list):
        items = cast(list[Json], value)
        return [
            _without(part, rest) if name in ("-", str(index)) else part for index, part in enumerate(items)
        ]
    return value


def _sink_values(contract: ToolContract, arguments: Mapping[str, Json]) -> Iterator[tuple[str, Json]]:
    if contract.sinks is None:
        yield from arguments.items()
        return
    for sink in contract.sinks:
        value = arguments.get(sink.argument)
        if sink.kind == "value":
            yield sink.argument, value
            continue
        texts = [leaf for leaf, _ in _leaves(value, "") if isinstance(leaf, str)]
        if sink.kind == "words":
            yield from ((sink.argument, word) for text in texts for word in text.split())
        else:
            yield from ((sink.argument, link) for link in links(_SEPARATOR.join(texts)))


def _leaves(value: Json, field: str) -> Iterator[tuple[str | Decimal, str]]:
    """The values of a JSON value that say something, each with the name of the field it is in."""
    if value is None or value == "":
        return
    if isinstance(value, dict):
        for name, part in cast(dict[str, Json], value).items():
            yield from _leaves(part, name)
    elif isinstance(value, list | tuple):
        for part in cast(Sequence[Json], value):
            yield from _leaves(part, field)
    elif isinstance(value, bool):
        yield Decimal(value), field
    elif isinstance(value, int | float):
        number = Decimal(str(value))
        if not number.is_finite():
            raise ValueError("JSON has no infinity, and nothing that is not a number")
        yield number, field
    elif isinstance(value, str):
        yield Decimal(value) if _is_amount(value) else value, field
    else:
        raise ValueError(f"{type(value).__name__} is not JSON")


def _is_amount(text: str) -> bool:
    """Whether a text is a number with a fraction. Whole ones are left as they are: "007" is no 7."""
    return re.fullmatch(r"-?\d{1,30}\.\d{1,30}", text, re.ASCII) is not None


def _canonical(value: str | Decimal) -> str:
    if isinstance(value, str):
        return value
    if abs(value.adjusted()) > 60:
        return str(value)
    # "12.00" and 12 are one number.
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _has_fraction(value: Decimal) -> bool:
    """Whether a number is written with one, as amounts are: 12.0 is, 12 isn't."""
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and exponent < 0


def _is_telling(value: str | Decimal) -> bool:
    text = _canonical(value)
    return len(text) >= (_MIN_DIGITS if text.isdigit() else _MIN_TEXT) and _SEPARATOR not in text


def _numbers(text: str) -> frozenset[Decimal]:
    found: set[Decimal] = set()
    for currency, whole, fraction in _NUMBER.findall(text):
        digits = whole.replace(",", "")
        if (currency or fraction or len(digits) >= _MIN_DIGITS) and len(digits) <= 60:
            found.add(Decimal(digits + fraction[:60]))
    return frozenset(found)


def _occurs(value: str, text: str) -> bool:
    """Whether a text has a value as a word of its own, and not as a part of a longer name or address."""
    start = text.find(value)
    while start >= 0:
        if _begins(text, start) and _ends(text, start + len(value)):
            return True
        start = text.find(value, start + 1)
    return False


def _begins(text: str, start: int) -> bool:
    return start == 0 or not (text[start - 1].isalnum() or text[start - 1] in "_@.-+%/\\#&=")


def _ends(text: str, end: int) -> bool:
    if end == len(text):
        return True
    mark, following = text[end], text[end + 1 : end + 2]
    if mark == "." and following.isupper() and text[end - 1].islower():
        return True  # the next sentence, without a space before it
    if mark.isalnum() or mark in "_@/\\":
        return False
    return mark not in ".-+%:?&=#" or not (following.isalnum() or following == "/")


def _text(value: Json) -> str:
    return canonical_json(value).decode("utf-8", errors="replace")
