"""Where values come from, and which of them a run may take at its word.

Trusted are the agent's instructions, what the person who asked for the run gave (but for the parts that
outsiders wrote), what people said since, and the outputs of tools whose contract says so, as far as their
arguments were trusted. Everything else is data: it may be read, summarised and quoted, and where it says whom
to pay or what to delete, a rule can have a person asked.

What counts as evidence for a value is in ``core.trusted_source``. Arithmetic over trusted numbers counts
where a sink declares it (``core.derived``).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import cast

from agentflow.contracts.tools import Sink, ToolContract
from agentflow.contracts.wire import Json
from agentflow.core.amounts import as_number
from agentflow.core.defaults import without_defaults
from agentflow.core.derived import derived_number
from agentflow.core.frozen_json import frozen
from agentflow.core.leaves import Leaf, argument_schema, leaves
from agentflow.core.links import unknown_links
from agentflow.core.trusted_source import SEPARATOR, Source

MODEL = "model"
"""Origin of a value that was seen nowhere: the model made it."""
NOTHING = "nothing"
"""Label of an argument that says nothing: null, or an empty text or list."""

DERIVED = "derived"
"""Label of a number that code worked out of trusted ones, as the contract declares."""


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
        return SEPARATOR.join(sorted(self.values))

    @cached_property
    def values(self) -> frozenset[str]:
        """What the output says, taken apart: each key and each value as text.

        Raises:
            ValueError: it is no JSON, or nested too deep.
        """
        return frozenset(leaf.text for leaf in leaves(self.output, "", self.output_schema))


@dataclass(frozen=True)
class UntrustedSink:
    """A value that goes to a sink, and that nothing trusted has."""

    argument: str
    value: Json


@dataclass(frozen=True)
class Provenance:
    """What a run may take at its word. Immutable: each addition is a new one."""

    sources: tuple[Source, ...] = ()

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
            source = Source.of(label, value, as_text=as_text)
        except (ValueError, ArithmeticError, RecursionError):
            return self
        return Provenance((*self.sources, source))

    def after(self, contract: ToolContract, call: PastCall) -> "Provenance":
        """With a tool's output, if its contract vouches for it and no argument was untrusted.

        An output takes the join of the labels of what went in: a look-up in a trusted directory for a name
        that an e-mail gave says what the e-mail wanted to be said.
        """
        if not contract.trusted_output:
            return self
        given = without_defaults(contract.input_schema, call.arguments)
        if any(self.argument_label(contract, given, name) is None for name in given):
            return self
        # By whole values only: a name in a directory may be a sentence that somebody chose.
        return self.plus(f"tool:{call.tool}", call.output, as_text=False)

    def label(
        self,
        value: Json,
        field: str,
        contract: ToolContract | None = None,
        beside: Mapping[str, Json] | None = None,
    ) -> str | None:
        """The label of what a value is trusted for, or ``None``. Of a list or object, all parts must be.

        Args:
            value: An argument, or a part of one.
            field: The argument's name.
            contract: Of its tool, if it is a whole argument. The names of properties in its schema are the
                contract's word; every other key must be trusted as a value must.
            beside: The arguments that it is one of: a state is known by its postal code.
        """
        label = NOTHING
        try:
            for leaf in _parts(value, field, contract, beside):
                found = next((source.label for source in self.sources if source.has(leaf, self._year)), None)
                if found is None:
                    return None
                label = found
        except (ValueError, ArithmeticError, RecursionError):
            return None
        return label

    def argument_label(self, contract: ToolContract, arguments: Mapping[str, Json], name: str) -> str | None:
        """The label of what an argument of a call is trusted for, or ``None``.

        ``derived`` is one that its sink's contract says how to work out, and that comes to the same.
        """
        label = self.label(arguments.get(name), name, contract, arguments)
        return label or self._derived_label(contract, arguments, name)

    def _derived_label(self, contract: ToolContract, arguments: Mapping[str, Json], name: str) -> str | None:
        derived = next((sink.derived for sink in contract.sinks or () if sink.argument == name), None)
        if derived is None or (number := _number(arguments.get(name))) is None:
            return None
        given = without_defaults(contract.input_schema, arguments)

        def is_trusted(other: str) -> bool:
            # A default is the contract's own word.
            is_default = other in arguments and other not in given
            return is_default or self.label(given.get(other), other, contract, arguments) is not None

        result = derived_number(derived, arguments, is_trusted, self._values_of)
        return DERIVED if result == number else None

    def _values_of(self, place: str) -> Iterator[Json]:
        """The trusted outputs of a tool, or what is trusted of the task."""
        labels = (place, f"tool:{place}")
        return (source.value for source in self.sources if source.label in labels)

    @cached_property
    def _year(self) -> int | None:
        """The year of the dates in people's texts, if they name no other, be it without a date."""
        texts = [source.days for source in self.sources if source.text]
        years = {year for days in texts for year in days.years}
        dated = {day.year for days in texts for day in days.dates}
        return next(iter(years)) if len(years) == 1 and years == dated else None

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
                label = self.label(value, sink.argument, contract, arguments)
                is_known = label or self._derived_label(contract, arguments, sink.argument)
                untrusted = [] if is_known else [value]
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

    def untrusted_leaves(
        self, contract: ToolContract, arguments: Mapping[str, Json], untrusted: UntrustedSink
    ) -> Iterator[Leaf]:
        """The parts of an untrusted value that nothing trusted has; itself, where it can't be taken apart.

        Args:
            contract: The tool's.
            arguments: Of the call.
            untrusted: As ``untrusted_sinks`` found it.
        """
        name, value = untrusted.argument, untrusted.value
        is_whole = value is arguments.get(name) or not isinstance(value, str)
        try:
            parts = list(_parts(value, name, contract if is_whole else None, arguments))
        except (ValueError, ArithmeticError, RecursionError):
            parts = []
        found = [leaf for leaf in parts if not any(source.has(leaf, self._year) for source in self.sources)]
        yield from found or parts[:1] or [Leaf(f"{value!r}"[:200], name)]

    def origins(
        self,
        arguments: Mapping[str, Json],
        past_calls: Sequence[PastCall],
        contract: ToolContract | None = None,
    ) -> dict[str, str]:
        """For each argument, for the person who must decide: what it is trusted for, or else its origin.

        ``instruction``, ``task``, ``person``, ``tool:<name>``, ``derived``, or ``model`` when its value was
        seen nowhere. With a question mark, as in ``task?``, where the value is there and too short to be
        evidence.
        """
        if contract is not None:
            return {name: self.origin(contract, arguments, name, past_calls) for name in arguments}
        return {
            name: self.label(value, name, beside=arguments) or self._origin(value, name, past_calls, None)
            for name, value in arguments.items()
        }

    def origin(
        self,
        contract: ToolContract,
        arguments: Mapping[str, Json],
        name: str,
        past_calls: Sequence[PastCall],
    ) -> str:
        """Of one argument of a call, as in ``origins``."""
        label = self.argument_label(contract, arguments, name)
        return label or self._origin(arguments.get(name), name, past_calls, contract)

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


def _parts(
    value: Json, field: str, contract: ToolContract | None, beside: Mapping[str, Json] | None = None
) -> Iterator[Leaf]:
    """The keys and leaves of an argument."""
    if contract is None:
        return leaves(value, field, beside=beside)
    return leaves(value, field, argument_schema(contract.input_schema, field), contract.input_schema, beside)


def _number(value: Json) -> Decimal | None:
    """An argument that is a number, and nothing else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return as_number(str(value))


def _sinks(contract: ToolContract, arguments: Mapping[str, Json]) -> Sequence[Sink]:
    return list(map(Sink.of, arguments)) if contract.sinks is None else contract.sinks
