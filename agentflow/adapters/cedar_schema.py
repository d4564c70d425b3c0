"""Cedar's schema for an agent's tools, made from their contracts, and values as it has them."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, cast

from agentflow.contracts.tools import ToolContract
from agentflow.contracts.wire import Json

_DECIMAL_PLACES = 4
"""Cedar's decimals have no more."""
_LONG = 2**63
_MAX_DEPTH = 8
"""Levels of an argument's type."""


def schema_of(contracts: Mapping[str, ToolContract]) -> dict[str, Any]:
    """A Cedar schema (JSON form): an action for each tool, with its arguments' types in the context.

    An argument of a type that Cedar doesn't have (a union, an open object) is left out: no policy can look
    at it.
    """
    entities: dict[str, Any] = {name: {} for name in ("Agent", "Tenant", "Tier")}
    entities["Tool"] = {
        "shape": _record({"effect": _required("String"), "scopes": _required(_set("String"))})
    }
    actions = {
        name: {
            "appliesTo": {
                "principalTypes": ["Agent"],
                "resourceTypes": ["Tool"],
                "context": _context(contract.input_schema),
            }
        }
        for name, contract in contracts.items()
    }
    return {"": {"entityTypes": entities, "actions": actions}}


def argument_names(schema: Mapping[str, Json]) -> frozenset[str]:
    """The arguments that policies can look at."""
    return frozenset(_properties(schema, schema))


def arguments_as_cedar(schema: Mapping[str, Json], arguments: Mapping[str, Json]) -> dict[str, Any]:
    """A call's arguments as the schema has them.

    Raises:
        ValueError: one doesn't fit Cedar's types, such as a whole number beyond 64 bits.
    """
    types = _properties(schema, schema)
    return {
        name: _value(types[name][0], value)
        for name, value in arguments.items()
        if name in types and value is not None
    }


def amounts_as_cedar(schema: Mapping[str, Json], arguments: Mapping[str, Json]) -> dict[str, Any]:
    """Those arguments that are numbers, or texts that are, as decimals.

    Raises:
        ValueError: a number that Cedar's decimals don't hold.
    """
    found: dict[str, Any] = {}
    for name, (kind, _) in _properties(schema, schema).items():
        value = arguments.get(name)
        if kind == _DECIMAL and value is not None:
            found[name] = _decimal(value)
        elif kind == {"type": "String"} and isinstance(value, str):
            try:
                found[name] = _decimal(value)
            except ValueError:
                continue  # a text that is no amount
    return found


def _context(schema: Mapping[str, Json]) -> dict[str, Any]:
    types = _properties(schema, schema)
    amounts = {name: _optional(_DECIMAL) for name, (kind, _) in types.items() if kind in (_DECIMAL, _STRING)}
    return _record(
        {
            "arguments": {"required": True, **_record({name: _attribute(*t) for name, t in types.items()})},
            "amounts": {"required": True, **_record(amounts)},
            "tier": _required({"type": "Entity", "name": "Tier"}),
            "tenant": _required({"type": "Entity", "name": "Tenant"}),
            "customer_tier": _required("String"),
            "requested_by": _required("String"),
            "requester_verified": _required("Boolean"),
            "model_proven": _required("Boolean"),
            "spent_usd": _required(_DECIMAL),
            "tool_calls": _required("Long"),
            "untrusted_sinks": _required(_set("String")),
        }
    )


_STRING: dict[str, Any] = {"type": "String"}
_DECIMAL: dict[str, Any] = {"type": "Extension", "name": "decimal"}
_SCALARS: Mapping[str, dict[str, Any]] = {
    "string": _STRING,
    "integer": {"type": "Long"},
    "number": _DECIMAL,
    "boolean": {"type": "Boolean"},
}


def _properties(
    schema: Mapping[str, Json], root: Mapping[str, Json], depth: int = 0
) -> dict[str, tuple[dict[str, Any], bool]]:
    """Type of each property that Cedar can hold, and whether it is always there."""
    required: list[str] = schema.get("required", [])
    found: dict[str, tuple[dict[str, Any], bool]] = {}
    properties: dict[str, Any] = schema.get("properties", {})
    for name, part in properties.items():
        kind, nullable = _type(part, root, depth + 1)
        if kind is not None:
            found[name] = kind, name in required and not nullable
    return found


def _type(schema: Json, root: Mapping[str, Json], depth: int) -> tuple[dict[str, Any] | None, bool]:
    """Cedar's type, or ``None``, and whether the value may be null."""
    # A type that holds itself ends somewhere.
    schema = _resolved(schema, root) if depth <= _MAX_DEPTH else {}
    if options := schema.get("anyOf"):
        others = [option for option in options if option.get("type") != "null"]
        if len(others) == 1 and len(others) < len(options):
            return _type(others[0], root, depth + 1)[0], True
        return None, False
    kind = schema.get("type")
    if kind in _SCALARS:
        return _SCALARS[kind], False
    if kind == "array":
        inner, nullable = _type(schema.get("items", {}), root, depth + 1)
        return (None if inner is None or nullable else _set(inner)), False
    if kind == "object" and schema.get("additionalProperties") is False:
        parts = _properties(schema, root, depth)
        return _record({name: _attribute(*part) for name, part in parts.items()}), False
    return None, False


def _resolved(schema: Json, root: Mapping[str, Json]) -> dict[str, Any]:
    """What a schema stands for: references point into ``$defs`` only."""
    definitions: dict[str, dict[str, Any]] = root.get("$defs", {})
    found: dict[str, Any] = cast(dict[str, Any], schema) if isinstance(schema, dict) else {}
    for _ in range(_MAX_DEPTH):
        name = str(found.get("$ref", "")).removeprefix("#/$defs/")
        if name not in definitions:
            return found
        found = definitions[name]
    return {}


def _value(kind: Mapping[str, Any], value: Json) -> Any:
    match kind["type"]:
        case "Extension":
            return _decimal(value)
        case "Long":
            if isinstance(value, bool) or int(value) != value or not -_LONG <= value < _LONG:
                raise ValueError(f"{str(value)[:40]} is no whole number of 64 bits")
            return int(value)
        case "Set":
            return [_value(kind["element"], part) for part in value]
        case "Record":
            attributes = kind["attributes"]
            return {
                name: _value(attributes[name], part)
                for name, part in value.items()
                if name in attributes and part is not None
            }
        case _:
            return value


def decimal_as_cedar(value: Decimal) -> dict[str, Any]:
    """An amount as a decimal, rounded up: no more is said to be left of a budget than there is."""
    return _decimal(value.quantize(Decimal(1).scaleb(-_DECIMAL_PLACES), rounding="ROUND_UP"))


def _decimal(value: Json) -> dict[str, Any]:
    try:
        number = Decimal(str(value))
    except InvalidOperation as error:
        raise ValueError(f"{str(value)[:40]!r} is no number") from error
    if isinstance(value, bool) or not number.is_finite() or abs(number) >= 10**14:
        raise ValueError(f"{str(value)[:40]} is more than Cedar's decimals hold")
    cut = number.quantize(Decimal(1).scaleb(-_DECIMAL_PLACES))
    if cut != number:
        raise ValueError(f"{str(value)[:40]} has more than {_DECIMAL_PLACES} decimal places")
    return {"__extn": {"fn": "decimal", "arg": f"{cut:f}"}}


def _record(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "Record", "attributes": dict(attributes)}


def _set(element: str | dict[str, Any]) -> dict[str, Any]:
    return {"type": "Set", "element": {"type": element} if isinstance(element, str) else element}


def _attribute(kind: dict[str, Any], required: bool) -> dict[str, Any]:
    return {**kind, "required": required}


def _required(kind: str | dict[str, Any]) -> dict[str, Any]:
    return _attribute({"type": kind} if isinstance(kind, str) else kind, True)


def _optional(kind: dict[str, Any]) -> dict[str, Any]:
    return _attribute(kind, False)


CONTEXT_ATTRIBUTES: tuple[str, ...] = tuple(_context({})["attributes"])
"""Names of what the context of each call has."""
