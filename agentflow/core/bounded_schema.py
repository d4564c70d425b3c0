"""Draft 2020-12 in bounded work, whatever a schema and a value are: both may come from outside.

``jsonschema`` has three ways to take for ever. A ``pattern`` runs in Python's engine of regular
expressions, which can take exponential time. ``uniqueItems`` compares each item with each other. And
where alternatives refer to each other, each level of a value may be looked at twice as often as the one
above it. Here patterns are tested in linear time, of which each byte takes as much as the pattern has
states; items and literals are compared by their canonical JSON; and all of that, and each keyword, counts.
"""

import functools
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend  # pyright: ignore[reportUnknownVariableType]

from agentflow.contracts.wire import Json, canonical_json
from agentflow.core.ecma_pattern import compiled, states_of
from agentflow.core.schema_parts import subschemas

MAX_STEPS = 100_000
"""Keywords that are looked at in one check: some 0.5 s, and on a busy machine less than the 2 s after which
Temporal takes a workflow for stuck. 3,000 objects with ten fields each take 70,000."""

_ERROR_STEPS, _CHARACTERS_A_STEP = 10, 20
"""What an error counts: it takes as long to make as so many keywords that fit."""
_NAMES_A_STEP, _VALUES_A_STEP = 20, 5
"""Names that an object is looked through for; values of a literal that is compared."""
_STATE_BYTES_A_STEP = 150
"""States of a pattern times bytes of a text: where counts are large, each byte may visit each state."""

_STEPS: ContextVar[int] = ContextVar("steps")
_LITERALS: ContextVar[dict[int, frozenset[bytes]]] = ContextVar("literals")
"""Those of the schema by their identity: they stay where they are in a check."""

Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]


class TooMuchWorkError(Exception):
    """A value takes more than ``MAX_STEPS`` to check."""


def begin() -> None:
    """Begin to count for one check."""
    _STEPS.set(0)
    _LITERALS.set({})


def problem_of(schema: Json) -> str | None:
    """What of a schema can't be checked in bounded work, or ``None``.

    Raises:
        PatternError: a pattern of it can't be tested in linear time.
    """
    for part in subschemas(schema):
        if isinstance(pattern := part.get("pattern"), str):
            compiled(pattern)
        by_pattern = part.get("patternProperties")
        for name in cast(dict[str, Json], by_pattern) if isinstance(by_pattern, dict) else ():
            compiled(name)
    # Wherever they stand: a reference may lead into a literal, too.
    if _has(schema, "unevaluatedProperties") and _has(schema, "patternProperties"):
        return (
            "unevaluatedProperties and patternProperties can't be checked together: say additionalProperties"
        )
    return None


def _has(schema: Json, keyword: str) -> bool:
    if isinstance(schema, list):
        return any(_has(part, keyword) for part in cast(list[Json], schema))
    if not isinstance(schema, dict):
        return False
    words = cast(dict[str, Json], schema)
    return keyword in words or any(_has(part, keyword) for part in words.values())


def _counted(name: str, keyword: Keyword) -> Keyword:
    # Literals are looked up, and what is compared with them is counted as it is written.
    is_literal = name in ("const", "enum")

    @functools.wraps(keyword)
    def look(validator: Any, asked: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        _work(1 if is_literal else _steps(asked))
        for error in keyword(validator, asked, instance, schema) or ():
            # It quotes the value, at each level of alternatives anew.
            _work(_ERROR_STEPS + len(error.message) // _CHARACTERS_A_STEP)
            yield error

    return look


def _steps(asked: Any) -> int:
    is_long = isinstance(asked, list | dict)
    return 1 + (len(cast(list[Json], asked)) // _NAMES_A_STEP if is_long else 0)


def _values_in(text: bytes) -> int:
    """About how many values a JSON text has: those after the first of each list have a comma before them."""
    return text.count(b",") + len(text) // 100


def _work(steps: int) -> None:
    done = _STEPS.get(0) + steps
    if done > MAX_STEPS:
        raise TooMuchWorkError(f"it takes more than {MAX_STEPS:,} steps")
    _STEPS.set(done)


def _found(pattern: str, text: str) -> bool:
    """Whether a pattern is found in a text, counted before it is looked for."""
    size = len(text) if text.isascii() else len(text.encode(errors="replace"))
    _work(1 + states_of(pattern) * size // _STATE_BYTES_A_STEP)
    return compiled(pattern)(text)


def _pattern(validator: Any, asked: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if validator.is_type(instance, "string") and not _found(asked, instance):
        yield ValidationError(f"{instance!r} does not match {asked!r}")


def _pattern_properties(
    validator: Any, asked: Mapping[str, Any], instance: Any, schema: Any
) -> Iterator[ValidationError]:
    if not validator.is_type(instance, "object"):
        return
    for pattern, part in asked.items():
        for name, value in instance.items():
            if _found(pattern, name):
                yield from validator.descend(value, part, path=name, schema_path=pattern)


def _additional_properties(
    validator: Any, asked: Any, instance: Any, schema: Any
) -> Iterator[ValidationError]:
    if not validator.is_type(instance, "object"):
        return
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    extras = [
        name for name in instance if name not in known and not any(_found(one, name) for one in patterns)
    ]
    if validator.is_type(asked, "object"):
        for name in extras:
            yield from validator.descend(instance[name], asked, path=name)
    elif extras and not asked:
        were = "was" if len(extras) == 1 else "were"
        names = ", ".join(map(repr, sorted(extras)))
        yield ValidationError(f"Additional properties are not allowed ({names} {were} unexpected)")


def _unique_items(validator: Any, asked: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if asked and validator.is_type(instance, "array"):
        written = [_written(item) for item in instance]
        if len(set(written)) < len(written):
            yield ValidationError(f"{instance!r} has non-unique elements")


def _const(validator: Any, asked: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if _written(instance) not in _literals(asked, [asked]):
        yield ValidationError(f"{asked!r} was expected")


def _enum(validator: Any, asked: list[Any], instance: Any, schema: Any) -> Iterator[ValidationError]:
    if _written(instance) not in _literals(asked, asked):
        yield ValidationError(f"{instance!r} is not one of {asked!r}")


def _literals(asked: Any, values: list[Any]) -> frozenset[bytes]:
    """The values of a ``const`` or ``enum`` as they are compared; written once in a check."""
    known = _LITERALS.get({})
    if id(asked) not in known:
        known[id(asked)] = frozenset(map(_written, values))
    return known[id(asked)]


def _written(item: Json) -> bytes:
    text = canonical_json(_as_one(item))
    # Where lists lie in lists, each level writes those below it anew.
    _work(_values_in(text) // _VALUES_A_STEP)
    return text


def _as_one(value: Any) -> Json:
    """A value in which what JSON Schema takes for the same number is written the same: 1 and 1.0."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _as_one(part) for name, part in cast(dict[str, Any], value).items()}
    return list(map(_as_one, cast(list[Any], value))) if isinstance(value, list) else value


_KEYWORDS: Mapping[str, Keyword] = {
    **cast(Any, Draft202012Validator).VALIDATORS,
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "uniqueItems": _unique_items,
    "const": _const,
    "enum": _enum,
}

BoundedValidator: Any = cast(Any, extend)(
    Draft202012Validator, {name: _counted(name, keyword) for name, keyword in _KEYWORDS.items()}
)
"""``Draft202012Validator``, in bounded work."""
