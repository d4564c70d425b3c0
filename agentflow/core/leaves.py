"""The one walk over a JSON value that all guards look through: its keys and its leaves.

A key is as good a place for an address or a secret as a value is. The names that a schema gives to properties
are its author's words; every other key is data.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as _dataclass_field
from decimal import Decimal
from typing import cast

from agentflow.contracts.wire import MAX_DEPTH, Json
from agentflow.core.schema_parts import referenced

_Schema = Mapping[str, Json]
_Schemas = tuple[_Schema, ...]
"""All that may hold for a value."""

_PARTS = ("allOf", "anyOf", "oneOf")
_CONDITIONS = ("then", "else")
_MAX_SCHEMAS = 100
"""Schemas of one place that are looked at. Beyond them no name is known, and a key counts as data."""

TOO_MANY: Mapping[str, Json] = {}
"""Stands for them: a schema that says nothing."""


@dataclass(frozen=True)
class Leaf:
    """A key, or a text, number or truth value."""

    value: str | Decimal
    """A text that is an amount is a number."""
    field: str
    """Name of the field that it is in."""
    is_key: bool = False
    beside: Mapping[str, Json] = _dataclass_field(default_factory=dict[str, Json], compare=False)
    """The object that has the field: what a short value is may stand beside it."""

    @property
    def text(self) -> str:
        """The value as text, one for each: "12.00" and 12 are ``12``."""
        return canonical(self.value)


def leaves(
    value: Json,
    field: str,
    schema: Json = None,
    root: Json = None,
    beside: Mapping[str, Json] | None = None,
) -> Iterator[Leaf]:
    """The keys and leaves of a JSON value that say something.

    Args:
        value: Any JSON.
        field: Name of the field that has it.
        schema: Of the value, if it is known. Names of properties in it are left out.
        root: What ``$ref`` in the schema refers to; by default the schema itself.
        beside: The object that has the field.

    Raises:
        ValueError: it is no JSON, or nested too deep.
    """
    places = Places(schema if root is None else root)
    yield from places.leaves(value, Field(field, beside or {}), places.at(schema), MAX_DEPTH)


def argument_schema(input_schema: _Schema, argument: str) -> Json:
    """The schema of one argument; ``None`` where there is none."""
    return cast(_Schema, input_schema.get("properties") or {}).get(argument)


def canonical(value: str | Decimal) -> str:
    """A value as text, one for each."""
    if isinstance(value, str):
        return value
    if abs(value.adjusted()) > 60:
        return str(value)
    # "12.00" and 12 are one number.
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@dataclass(frozen=True)
class Field:
    """A field, and the object that has it."""

    name: str
    beside: Mapping[str, Json]


@dataclass(frozen=True)
class Places:
    """A value's places, walked together with what a schema says of each."""

    root: Json
    """What ``$ref`` refers to."""

    def leaves(self, value: Json, field: Field, schemas: _Schemas, left: int) -> Iterator[Leaf]:
        """The keys and leaves of a value of which so much holds."""
        if isinstance(value, dict | list | tuple):
            if not left:
                raise ValueError(f"the value is nested deeper than {MAX_DEPTH} levels")
            if isinstance(value, dict):
                yield from self._of_object(cast(dict[str, Json], value), field, schemas, left - 1)
            else:
                parts = enumerate(cast(Sequence[Json], value))
                for index, part in parts:
                    yield from self.leaves(part, field, self.of_item(schemas, index), left - 1)
        elif value is not None and value != "":
            yield Leaf(_scalar(value), field.name, beside=field.beside)

    def _of_object(
        self, value: Mapping[str, Json], field: Field, schemas: _Schemas, left: int
    ) -> Iterator[Leaf]:
        for name, part in value.items():
            if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ValueError(f"{type(name).__name__} is no key of JSON")
            is_named, inside = self.of_field(schemas, name)
            if name and not is_named:
                yield Leaf(_scalar(name), field.name, is_key=True)
            yield from self.leaves(part, Field(name, value), inside, left)

    def at(self, *schemas: Json) -> _Schemas:
        """All schemas that may hold where these do."""
        found: list[_Schema] = []
        waiting = list(schemas)
        while waiting:
            schema = waiting.pop()
            # A schema that refers to itself comes to no end.
            if not isinstance(schema, Mapping) or any(schema is other for other in found):
                continue
            if len(found) == _MAX_SCHEMAS:
                return (TOO_MANY,)
            known = cast(_Schema, schema)
            found.append(known)
            if isinstance(reference := known.get("$ref"), str):
                waiting.append(referenced(self.root, reference))
            for word in _PARTS:
                waiting += cast(Sequence[Json], known.get(word) or ())
            waiting += [known.get(word) for word in _CONDITIONS]
        return tuple(found)

    def of_field(self, schemas: _Schemas, name: str) -> tuple[bool, _Schemas]:
        """Whether a schema names the field, and those of its value."""
        named = [part[name] for part in map(_properties, schemas) if name in part]
        if named:
            return True, self.at(*named)
        patterns = [
            part
            for schema in schemas
            for part in cast(_Schema, schema.get("patternProperties") or {}).values()
        ]
        return False, self.at(*patterns, *(schema.get("additionalProperties") for schema in schemas))

    def of_item(self, schemas: _Schemas, index: int) -> _Schemas:
        """Those of an item of a list."""

        def of(schema: _Schema) -> Json:
            first = cast(Sequence[Json], schema.get("prefixItems") or ())
            return first[index] if index < len(first) else schema.get("items")

        return self.at(*map(of, schemas))


def _properties(schema: _Schema) -> _Schema:
    return cast(_Schema, schema.get("properties") or {})


def _scalar(value: Json) -> str | Decimal:
    if isinstance(value, str):
        return Decimal(value) if _is_amount(value) else value
    if isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, int | float):
        number = Decimal(str(value))
        if not number.is_finite():
            raise ValueError("JSON has no infinity, and nothing that is not a number")
        return number
    raise ValueError(f"{type(value).__name__} is not JSON")


def _is_amount(text: str) -> bool:
    """Whether a text is a number with a fraction. Whole ones are left as they are: "007" is no 7."""
    return re.fullmatch(r"-?\d{1,30}\.\d{1,30}", text, re.ASCII) is not None
