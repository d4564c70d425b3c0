"""JSON Schemas for servers that turn them into grammars, and as text for small models."""

import json
import re
from collections.abc import Callable
from typing import cast

from agentflow.contracts.wire import Json
from agentflow.core.schema_parts import referenced

Schema = dict[str, Json]

MAX_LENGTH = 400
"""A grammar unrolls the length of a string; far longer ones slow a server down or are refused."""
MAX_ITEMS = 50
"""The same for the length of an array."""

_LENGTHS = {"minLength": MAX_LENGTH, "maxLength": MAX_LENGTH, "minItems": MAX_ITEMS, "maxItems": MAX_ITEMS}
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_SHAPES = ("type", "enum", "const", "properties", "required", "additionalProperties", "items", "prefixItems")
_LINKS = ("anyOf", "oneOf", "allOf", "$ref", "$defs", "definitions")
_KEPT = {*_LENGTHS, *_BOUNDS, *_SHAPES, *_LINKS, "pattern", "description"}
# Anchored, ASCII, and without classes such as \d or look-around: llama.cpp ignores or refuses the rest.
_PLAIN_PATTERN = re.compile(r"\^(?:[ -\[\]-~]|\\[!-/:-@\[-`{-~])*\$")

_MAPS_OF_SCHEMAS = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_LISTS_OF_SCHEMAS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SCHEMAS = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")

_MAX_SIGNATURE = 800
_MAX_FIELD_DESCRIPTION = 80
_MAX_DEPTH = 6


def for_grammar(schema: Schema) -> Schema:
    """A schema without what a grammar can't hold, or what makes a server refuse it or crawl.

    Objects are closed: a small model that may invent fields does. Answers are still checked against
    the whole schema afterwards.
    """
    kept = {key: value for key, value in schema.items() if key in _KEPT and _fits(key, value)}
    if kept.get("properties") and kept.get("additionalProperties", True) is True:
        kept["additionalProperties"] = False
    return _with_subschemas(kept, _subschema_for_grammar)


def embedded(schema: Schema, name: str, definitions: Schema) -> Schema:
    """A schema as a part of a larger one, whose ``$defs`` are ``definitions``.

    References name places from the root. So a schema that has some is put into the definitions whole,
    under its name, and its references are made to follow it there.
    """
    if '"$ref"' not in json.dumps(schema):
        return schema
    place = f"#/$defs/{name}"
    definitions[name] = _moved(schema, place)
    return {"$ref": place}


def signature(schema: Schema) -> str:
    """A schema as a reader of code would write it: ``{order_id: string, reason?: "late" | "lost"}``."""
    return clipped(_type(schema, schema, 0), _MAX_SIGNATURE)


def clipped(text: str, limit: int) -> str:
    """A text on one line, cut at a length."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def _fits(keyword: str, value: Json) -> bool:
    if keyword in _LENGTHS:
        return isinstance(value, int) and value <= _LENGTHS[keyword]
    if keyword in _BOUNDS:
        # Servers read them as 64-bit integers and refuse a schema that overflows.
        return isinstance(value, int) and abs(value) < 2**53
    if keyword == "pattern":
        return isinstance(value, str) and bool(_PLAIN_PATTERN.fullmatch(value)) and "(?" not in value
    return not isinstance(value, bool) if keyword == "items" else True


def _subschema_for_grammar(schema: Json) -> Json:
    # A boolean schema has no grammar: it becomes "anything".
    return for_grammar(cast(Schema, schema)) if isinstance(schema, dict) else {}


def _moved(schema: Schema, place: str) -> Schema:
    def move(sub: Json) -> Json:
        return _moved(cast(Schema, sub), place) if isinstance(sub, dict) else sub

    moved = _with_subschemas(schema, move)
    reference = moved.get("$ref")
    if isinstance(reference, str) and (reference == "#" or reference.startswith("#/")):
        moved["$ref"] = place + reference[1:]
    return moved


def _with_subschemas(schema: Schema, change: Callable[[Json], Json]) -> Schema:
    """A copy with each direct subschema changed; data such as ``enum`` and ``default`` is left alone."""
    changed: Schema = {}
    for key, value in schema.items():
        if key in _MAPS_OF_SCHEMAS and isinstance(value, dict):
            changed[key] = {name: change(sub) for name, sub in cast(Schema, value).items()}
        elif key in _LISTS_OF_SCHEMAS and isinstance(value, list):
            changed[key] = [change(sub) for sub in cast(list[Json], value)]
        elif key in _SCHEMAS and isinstance(value, dict):
            changed[key] = change(cast(Schema, value))
        else:
            changed[key] = value
    return changed


def _type(schema: Json, root: Schema, depth: int) -> str:
    match schema:
        case {"$ref": str(reference)}:
            text = _type(referenced(root, reference), root, depth + 1) if depth < _MAX_DEPTH else "object"
        case {"const": value}:
            text = json.dumps(value, ensure_ascii=False)
        case {"enum": [*values]}:
            text = " | ".join(json.dumps(value, ensure_ascii=False) for value in values)
        case {"anyOf": [*options]} | {"oneOf": [*options]}:
            text = " | ".join(_type(option, root, depth) for option in options)
        case {"properties": fields} if depth < _MAX_DEPTH:
            needed: list[str] = cast(Schema, schema).get("required", [])
            text = "{" + ", ".join(_field(n, s, n in needed, root, depth) for n, s in fields.items()) + "}"
        case {"items": item}:
            text = f"[{_type(item, root, depth + 1)}]" if depth < _MAX_DEPTH else "array"
        case {"type": [*names]}:
            text = " | ".join(str(name) for name in names)
        case {"type": str(name)}:
            text = name
        case _:
            text = "any"
    return text


def _field(name: str, schema: Json, needed: bool, root: Schema, depth: int) -> str:
    described = cast(Schema, schema).get("description") if isinstance(schema, dict) else None
    note = f" ({clipped(described, _MAX_FIELD_DESCRIPTION)})" if isinstance(described, str) else ""
    return f"{name}{'' if needed else '?'}: {_type(schema, root, depth + 1)}{note}"
