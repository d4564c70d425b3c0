"""Where values come from, and which of them a run may take at its word.

Trusted are the agent's instructions, what the person who asked for the run gave (but for the parts that
outsiders wrote), what people said since, and the outputs of tools whose contract says so, as far as their
arguments were trusted. Everything else is data: it may be read, summarised and quoted, and where it says whom
to pay or what to delete, a rule can have a person asked.

Values are compared exactly, code point by code point. Short ones (under three characters, or whole numbers of
fewer than four digits) are no evidence in a text, where "13" may be a day: they count only in a field that
has the argument's name. An id is the same with and without ``#`` before it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import cast

from agentflow.contracts.tools import Sink, ToolContract
from agentflow.contracts.wire import Json
from agentflow.core.defaults import without_defaults
from agentflow.core.frozen_json import frozen
from agentflow.core.leaves import Leaf, argument_schema, canonical, leaves
from agentflow.core.links import unknown_links

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

_ID = re.compile(r"(?=[^\d]*\d)[A-Za-z0-9-]+", re.ASCII)
"""Of letters and digits, with a digit at least."""


@dataclass(frozen=True)
class PastCall:
    """A tool call of this run that has been carried out."""

    call_id: str
    tool: str
    arguments: Mapping[str, Json]
    output: Json
    output_schema: Json = None
    """By the tool's contract, where it is known: the names of properties in it are no values."""

    def __post_init__(self) -> None:
        """Freeze what it was: rules look at it, and citations rest on it."""
        object.__setattr__(self, "arguments", frozen(dict(self.arguments)))
        object.__setattr__(self, "output", frozen(self.output))

    @cached_property
    def said(self) -> str:
        """The values as one text, made when it is first looked at."""
        return _SEPARATOR.join(sorted(self.values))

    @cached_property
    def values(self) -> frozenset[str]:
        """What the output says, taken apart: each key and each value as text.

        Raises:
            ValueError: it is no JSON, or nested too deep.
        """
        return frozenset(leaf.text for leaf in leaves(self.output, "", self.output_schema))


@dataclass(frozen=True)
class _Source:
    """One thing that is trusted, taken apart."""

    label: str
    text: str
    numbers: frozenset[Decimal]
    """Those in the text that are evidence."""
    fields: Mapping[str, frozenset[str]]
    """Each value, and the names of the fields that have it."""
    keys: Mapping[str, frozenset[str]]
    """Each key of an object, and the names of the fields that have it. No evidence for values: a directory
    may have a field ``admin``, and say of nobody that they are one."""

    def has(self, leaf: Leaf) -> bool:
        return any(self._has(form, leaf) for form in _spellings(leaf.value))

    def _has(self, value: str | Decimal, leaf: Leaf) -> bool:
        names = self._names(canonical(value), leaf.is_key)
        if names is not None and (_is_telling(value) or leaf.field in names):
            return True
        if isinstance(value, Decimal):
            # A small whole number is as likely an id that somebody chose to be found.
            return value in self.numbers and (_has_fraction(value) or _is_telling(value))
        return _is_telling(value) and _occurs(value, self.text)

    def mentions(self, leaf: Leaf) -> bool:
        """Whether it says a value at all, be it too short to be evidence."""
        return self._names(leaf.text, leaf.is_key) is not None or _occurs(leaf.text, self.text)

    def _names(self, text: str, is_key: bool) -> frozenset[str] | None:
        names = self.fields.get(text)
        return self.keys.get(text) if names is None and is_key else names


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
            found = list(leaves(value, ""))
        except (ValueError, ArithmeticError, RecursionError):
            return self
        values = [leaf for leaf in found if not leaf.is_key]
        texts = [leaf.value for leaf in values if isinstance(leaf.value, str)] if as_text else []
        text = _SEPARATOR.join(texts)
        amounts = {
            leaf.value for leaf in values if isinstance(leaf.value, Decimal) and _has_fraction(leaf.value)
        }
        keys = _by_text(leaf for leaf in found if leaf.is_key)
        source = _Source(label, text, _numbers(text) | amounts, _by_text(values), keys)
        return Provenance((*self.sources, source))

    def after(self, contract: ToolContract, call: PastCall) -> "Provenance":
        """With a tool's output, if its contract vouches for it and no argument was untrusted.

        An output takes the join of the labels of what went in: a look-up in a trusted directory for a name
        that an e-mail gave says what the e-mail wanted to be said.
        """
        if not contract.trusted_output:
            return self
        given = without_defaults(contract.input_schema, call.arguments)
        if any(self.label(value, name, contract) is None for name, value in given.items()):
            return self
        # By whole values only: a name in a directory may be a sentence that somebody chose.
        return self.plus(f"tool:{call.tool}", call.output, as_text=False)

    def label(self, value: Json, field: str, contract: ToolContract | None = None) -> str | None:
        """The label of what a value is trusted for, or ``None``. Of a list or object, all parts must be.

        Args:
            value: An argument, or a part of one.
            field: The argument's name.
            contract: Of its tool, if it is a whole argument. The names of properties in its schema are the
                contract's word; every other key must be trusted as a value must.
        """
        label = NOTHING
        try:
            for leaf in _parts(value, field, contract):
                found = next((source.label for source in self.sources if source.has(leaf)), None)
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
        given = without_defaults(contract.input_schema, arguments)
        found: list[UntrustedSink] = []
        for sink in _sinks(contract, given):
            value = given.get(sink.argument)
            if sink.kind == "value":
                untrusted = [value] if self.label(value, sink.argument, contract) is None else []
            else:
                untrusted = self._untrusted_parts(sink, value, contract)
            found += (UntrustedSink(sink.argument, part) for part in untrusted)
        return tuple(found)

    def _untrusted_parts(self, sink: Sink, value: Json, contract: ToolContract) -> list[Json]:
        """The words or links of an argument that nothing trusted has."""

        def is_known(part: str) -> bool:
            return self.label(part, sink.argument) is not None

        try:
            texts = [leaf.text for leaf in _parts(value, sink.argument, contract)]
        except (ValueError, ArithmeticError, RecursionError):
            return [value]
        if sink.kind == "words":
            return [word for text in texts for word in text.split() if not is_known(word)]
        return [link for text in texts for link in unknown_links(text, is_known)]

    def origins(
        self,
        arguments: Mapping[str, Json],
        past_calls: Sequence[PastCall],
        contract: ToolContract | None = None,
    ) -> dict[str, str]:
        """For each argument, for the person who must decide: what it is trusted for, or else its origin.

        ``instruction``, ``task``, ``person``, ``tool:<name>``, or ``model`` when its value was seen nowhere.
        With a question mark, as in ``task?``, where the value is there and too short to be evidence.
        """
        return {
            name: self.label(value, name, contract) or self._origin(value, name, past_calls, contract)
            for name, value in arguments.items()
        }

    def _origin(
        self, value: Json, name: str, past_calls: Sequence[PastCall], contract: ToolContract | None
    ) -> str:
        """Who said a value first. Coarse, and meant for reading."""
        try:
            parts = list(_parts(value, name, contract))
            for source in self.sources:
                if all(source.mentions(leaf) for leaf in parts):
                    return f"{source.label}?"
            for call in past_calls:
                if all(leaf.text in call.said for leaf in parts):
                    return f"tool:{call.tool}"
        except (ValueError, ArithmeticError, RecursionError):
            return MODEL
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


def _parts(value: Json, field: str, contract: ToolContract | None) -> Iterator[Leaf]:
    """The keys and leaves of an argument."""
    if contract is None:
        return leaves(value, field)
    return leaves(value, field, argument_schema(contract.input_schema, field), contract.input_schema)


def _sinks(contract: ToolContract, arguments: Mapping[str, Json]) -> Sequence[Sink]:
    return list(map(Sink.of, arguments)) if contract.sinks is None else contract.sinks


def _by_text(found: Iterable[Leaf]) -> dict[str, frozenset[str]]:
    """The names of the fields that have each of them."""
    fields: dict[str, set[str]] = {}
    for leaf in found:
        fields.setdefault(leaf.text, set()).add(leaf.field)
    return {text: frozenset(names) for text, names in fields.items()}


def _spellings(value: str | Decimal) -> Iterator[str | Decimal]:
    """The value, and an id with and without the sign that says that it is one: ``#W4711`` is ``W4711``."""
    yield value
    if isinstance(value, str):
        bare = value.removeprefix("#")
        if _ID.fullmatch(bare) and _is_telling(bare):
            yield f"#{bare}" if bare == value else bare


def _has_fraction(value: Decimal) -> bool:
    """Whether a number is written with one, as amounts are: 12.0 is, 12 isn't."""
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and exponent < 0


def _is_telling(value: str | Decimal) -> bool:
    text = canonical(value)
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
