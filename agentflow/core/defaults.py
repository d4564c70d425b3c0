"""Defaults that a contract names: what an argument is when nobody gives it."""

from collections.abc import Mapping
from typing import cast

from agentflow.contracts.wire import MAX_DEPTH, Json, canonical_json
from agentflow.core.schema_parts import referenced

Schema = Mapping[str, Json]


def with_defaults(schema: Schema, arguments: Mapping[str, Json]) -> dict[str, Json]:
    """The arguments with those added that are left out and have a default.

    Args:
        schema: Of the arguments. Only its own properties are looked at: within a value a default may be of
            one alternative among several.
        arguments: By name.
    """
    named = cast(Schema, schema.get("properties") or {})
    added = {
        name: cast(Schema, part)["default"]
        for name, part in named.items()
        if name not in arguments and isinstance(part, Mapping) and "default" in part
    }
    return {**arguments, **added}


def without_defaults(schema: Schema, arguments: Mapping[str, Json]) -> dict[str, Json]:
    """The arguments without the values that are defaults of the schema, at every level.

    Whoever leaves such a value out says the same: it is the contract's word, not the model's.
    """
    return cast(dict[str, Json], _without(dict(arguments), schema, schema, MAX_DEPTH))


def _without(value: Json, schema: Json, root: Schema, left: int) -> Json:
    if not isinstance(schema, Mapping) or not left:
        return value
    given = cast(Schema, schema)
    if isinstance(reference := given.get("$ref"), str):
        value = _without(value, referenced(root, reference), root, left - 1)
    for word in ("allOf", "anyOf", "oneOf"):
        for part in cast(list[Json], given.get(word) or []):
            value = _without(value, part, root, left - 1)
    if isinstance(value, dict):
        named = cast(Schema, given.get("properties") or {})
        return {
            name: _without(part, named.get(name, given.get("additionalProperties")), root, left - 1)
            for name, part in cast(dict[str, Json], value).items()
            if not _is_default(part, named.get(name))
        }
    if isinstance(value, list) and "items" in given:
        return [_without(part, given["items"], root, left - 1) for part in cast(list[Json], value)]
    return cast(Json, value)


def _is_default(value: Json, schema: Json) -> bool:
    if not isinstance(schema, Mapping) or "default" not in schema:
        return False
    try:
        return canonical_json(value) == canonical_json(cast(Schema, schema)["default"])
    except (ValueError, TypeError):
        return False
