"""Recomputes what a sink's contract declares: sums, differences and products of trusted numbers.

Operands are named, never searched for: with a search over all pairs of numbers, an attacker would find one
that comes to what they want. An operand that is not one number, or rests on a value that is not trusted,
makes nothing of it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Context, Decimal, DecimalException, DivisionByZero, Inexact, InvalidOperation, Overflow
from functools import reduce
from typing import cast

from agentflow.contracts.derived import Derived, Operand
from agentflow.contracts.tools import ToolContract
from agentflow.contracts.wire import MAX_DEPTH, Json
from agentflow.core.amounts import as_number
from agentflow.core.leaves import canonical, leaves
from agentflow.core.words import near
from agentflow.errors import ToolDefinitionError

MAX_RECORDS = 5_000
"""Objects of trusted outputs that are looked through. Of more, nothing is worked out."""
MAX_KEYS = 200
"""Values of the argument that says which records count."""
TASK = "task"
"""Where an operand's field is, if it is the task's."""

# What has no exact result is no result. Its own context, as the process's is anybody's to change.
_EXACT = Context(prec=60, traps=[Inexact, InvalidOperation, Overflow, DivisionByZero])

Record = Mapping[str, Json]


def derived_number(
    derived: Derived,
    arguments: Mapping[str, Json],
    is_trusted: Callable[[str], bool],
    values_of: Callable[[str], Iterable[Json]],
) -> Decimal | None:
    """The number that the declaration comes to; ``None`` where it can't be said for sure.

    Args:
        derived: The declaration.
        arguments: Of the call.
        is_trusted: Tells of an argument whether its value is trusted.
        values_of: The trusted outputs of a tool, or what is trusted of the task.
    """
    if not all(is_trusted(name) for name in derived.arguments):
        return None
    try:
        found = [_numbers(operand, arguments, values_of) for operand in derived.operands]
        return None if not all(found) else _result(derived, found)
    except (ValueError, DecimalException, RecursionError):
        return None


def check_derived(contracts: Sequence[ToolContract]) -> None:
    """See to it that what declarations rest on is there: tools that are trusted, and fields of their outputs.

    Raises:
        ToolDefinitionError: it is not.
    """
    by_name = {contract.name: contract for contract in contracts}
    for contract in contracts:
        for sink in contract.sinks or ():
            for operand in sink.derived.operands if sink.derived else ():
                if operand.of not in (None, TASK) and (problem := _problem(operand, by_name)):
                    raise ToolDefinitionError(
                        f"tool {contract.name}: {sink.argument} is derived, and {problem}"
                    )


def _problem(operand: Operand, contracts: Mapping[str, ToolContract]) -> str | None:
    of = operand.of or ""
    contract = contracts.get(of)
    if contract is None:
        return f"the agent has no tool {of}{near(of, list(contracts))}"
    if not contract.trusted_output:
        return f"nobody vouches for the output of {of}: write trusted_output=True, or rest on another"
    known = set(_named(contract.output_schema))
    for name in (operand.field, (operand.key or operand.by) if operand.by else None):
        if name is not None and known and name not in known:
            return f"the output of {of} has no field {name}{near(name, sorted(known))}"
    return None


def _named(schema: Json) -> Iterator[str]:
    """All names that a schema gives to properties, at any depth."""
    if isinstance(schema, dict):
        parts = cast(dict[str, Json], schema)
        if isinstance(named := parts.get("properties"), dict):
            yield from cast(dict[str, Json], named)
        for part in parts.values():
            yield from _named(part)
    elif isinstance(schema, list):
        for part in cast(list[Json], schema):
            yield from _named(part)


def _result(derived: Derived, found: Sequence[Sequence[Decimal]]) -> Decimal | None:
    if derived.arithmetic == "sum":
        return reduce(_EXACT.add, (number for numbers in found for number in numbers))
    # Of several numbers in the place of one, nobody can tell which is meant.
    if any(len(numbers) != 1 for numbers in found):
        return None
    step = _EXACT.multiply if derived.arithmetic == "product" else _EXACT.subtract
    return reduce(step, (numbers[0] for numbers in found))


def _numbers(
    operand: Operand, arguments: Mapping[str, Json], values_of: Callable[[str], Iterable[Json]]
) -> Sequence[Decimal]:
    """The numbers that an operand names; none where that is not clear."""
    if operand.number is not None:
        return [operand.number]
    field = operand.field or ""
    if operand.of is None:
        return _of_argument(arguments.get(field), field)
    records = list(_records(values_of(operand.of)))
    if operand.by is None:
        return _the_one(records, field)
    key = operand.key or operand.by
    wanted = [leaf.text for leaf in leaves(arguments.get(operand.by), operand.by)]
    # Whoever may name a record twice comes to any multiple of its number.
    if len(wanted) > MAX_KEYS or len(set(wanted)) != len(wanted):
        return []
    by_key: dict[str | None, list[Record]] = {}
    for record in records:
        by_key.setdefault(_text(record.get(key)), []).append(record)
    found = [_the_one(by_key.get(text, ()), field) for text in wanted]
    return [numbers[0] for numbers in found] if all(found) else []


def _of_argument(value: Json, field: str) -> Sequence[Decimal]:
    numbers = [as_number(leaf.value) for leaf in leaves(value, field)]
    return [] if None in numbers else [number for number in numbers if number is not None]


def _the_one(records: Iterable[Record], field: str) -> Sequence[Decimal]:
    """The number that all these records have in a field, if it is one."""
    found = {_number(record[field]) for record in records if field in record}
    return [] if len(found) != 1 or None in found else [number for number in found if number is not None]


def _number(value: Json) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return as_number(str(value))


def _text(value: Json) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    number = None if isinstance(value, str) else _number(value)
    return str(value) if number is None else canonical(number)


def _records(values: Iterable[Json]) -> Iterator[Record]:
    """All objects in some values."""
    waiting = [(value, MAX_DEPTH) for value in values]
    count = 0
    while waiting:
        value, left = waiting.pop()
        if not left:
            raise ValueError(f"the value is nested deeper than {MAX_DEPTH} levels")
        if isinstance(value, dict):
            count += 1
            if count > MAX_RECORDS:
                raise ValueError(f"there are more than {MAX_RECORDS} records")
            yield cast(Record, value)
            waiting += [(part, left - 1) for part in cast(Record, value).values()]
        elif isinstance(value, list | tuple):
            waiting += [(part, left - 1) for part in cast(Sequence[Json], value)]
