"""Places in a JSON value that a schema knows of, as JSON Pointers (RFC 6901) name them."""

from collections.abc import Mapping, Sequence
from typing import cast

from agentflow.contracts.wire import MAX_DEPTH, Json
from agentflow.core.schema_parts import referenced

_PARTS = ("anyOf", "oneOf", "allOf")


def has_place(schema: Json, pointer: str) -> bool:
    """Whether values of a schema may have something at a place. ``-`` is each item of a list."""
    path = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    return _has(schema, path, schema, 0)


def _has(schema: Json, path: Sequence[str], root: Json, hops: int) -> bool:
    if not path or not isinstance(schema, Mapping) or hops > MAX_DEPTH:
        return True
    schema = cast(Mapping[str, Json], schema)
    if isinstance(reference := schema.get("$ref"), str):
        target = referenced(root, reference)
        return _has(True if target is None else target, path, root, hops + 1)
    parts = [part for word in _PARTS for part in cast(Sequence[Json], schema.get(word) or ())]
    if parts:
        return any(_has(part, path, root, hops + 1) for part in parts)
    match schema.get("type"):
        case "object":
            return _has_member(schema, path, root, hops)
        case "array":
            return _has_item(schema, path, root, hops)
        case kind:
            return kind is None and not schema.keys() & {"const", "enum"}


def _has_item(schema: Mapping[str, Json], path: Sequence[str], root: Json, hops: int) -> bool:
    if path[0] != "-" and not path[0].isdecimal():
        return False
    items: list[Json] = [*(schema.get("prefixItems") or ()), schema.get("items", True)]
    return any(_has(item, path[1:], root, hops + 1) for item in items if item is not False)


def _has_member(schema: Mapping[str, Json], path: Sequence[str], root: Json, hops: int) -> bool:
    named = cast(Mapping[str, Json], schema.get("properties") or {})
    if path[0] in named:
        return _has(named[path[0]], path[1:], root, hops + 1)
    # A model without a word on others drops them, so that no run has them.
    others = schema.get("additionalProperties", "properties" not in schema)
    if "patternProperties" in schema:
        return True
    return others is not False and _has(others, path[1:], root, hops + 1)
