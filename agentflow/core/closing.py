"""Schemas of arguments, closed at every level: what nothing names is refused, however deep it is.

An object that names its properties takes no others, unless its schema says that it does
(``"additionalProperties": true``, or a schema for them). One that names none is a map, open on purpose.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import cast

from agentflow.contracts.wire import Json
from agentflow.core.schema_parts import referenced

Schema = dict[str, Json]

_CLOSES = ("additionalProperties", "unevaluatedProperties")
_NAMES = ("properties", "patternProperties")
_ALTERNATIVES = ("anyOf", "oneOf")
_BESIDE = ("allOf", "then", "else", "dependentSchemas")
"""What is in here holds for the same object as what stands beside it."""
_MAPS_OF_PARTS = ("properties", "patternProperties")
_LISTS_OF_PARTS = ("prefixItems",)
_PARTS = ("items", "additionalProperties", "unevaluatedProperties", "unevaluatedItems", "contains")
_CONSTRAINTS = (*_NAMES, *_ALTERNATIVES, *_BESIDE, *_CLOSES, "if", "$ref", "required")


def closed(schema: Mapping[str, Json]) -> Schema:
    """The schema with every object that names its properties closed.

    An object whose properties are named in several places (``allOf``, a reference with more beside it) is
    closed around all of them, by ``unevaluatedProperties``.

    Args:
        schema: JSON Schema, Draft 2020-12. References point into it.
    """
    return cast(Schema, json.loads(_closed(_as_text(schema))))


def is_closed(schema: Mapping[str, Json]) -> bool:
    """Whether every object that names its properties is closed, the arguments themselves included."""
    return any(schema.get(word) is False for word in _CLOSES) and _is_closed(_as_text(schema))


def mixes_names_with_any(schema: Mapping[str, Json]) -> bool:
    """Whether an object may be one with named properties, or else one with any.

    What misses the first by a property that nothing names is then the second: nothing is ever refused.
    """
    return _mixes([dict(schema)], schema, frozenset())


@lru_cache(maxsize=1_024)
def _closed(text: str) -> str:
    return json.dumps(_Closing(json.loads(text)).made())


@lru_cache(maxsize=1_024)
def _is_closed(text: str) -> bool:
    # The sandbox makes an agent's class anew for each run, with the same schemas.
    return json.loads(_closed(text)) == json.loads(text)


def _as_text(schema: Mapping[str, Json]) -> str:
    # Not sorted: models are told of the properties in the order in which they were written.
    return json.dumps(schema)


class _Closing:
    """One schema, closed."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._alone: set[str] = set()
        """References to what is a whole object's schema, somewhere."""
        self._shared: set[str] = set()
        """References to what is a part of one, somewhere: it must stay open there."""
        self._look(schema, is_part=False)

    def made(self) -> Schema:
        made = self._closed(self._schema, is_part="#" in self._shared)
        definitions: Json = made.get("$defs")
        if isinstance(definitions, dict):
            named = cast(Schema, definitions)
            made["$defs"] = {name: self._definition(f"#/$defs/{name}", part) for name, part in named.items()}
        return made

    def _definition(self, reference: str, schema: Json) -> Json:
        escaped = reference.replace("~", "~0").replace("/", "~1").replace("#~1$defs~1", "#/$defs/", 1)
        is_part = bool({reference, escaped} & self._shared)
        return self._closed(schema, is_part=is_part)

    def _look(self, schema: Json, *, is_part: bool) -> None:
        """Find out what each reference stands for."""
        if not isinstance(schema, dict):
            return
        given = cast(Schema, schema)
        inner = is_part or _is_gathered(given)
        if isinstance(reference := given.get("$ref"), str):
            kinds = self._shared if inner else self._alone
            if reference not in kinds:
                kinds.add(reference)
                self._look(referenced(self._schema, reference), is_part=inner)
        for part in _beside(given):
            self._look(part, is_part=inner)
        for part in _inside(given):
            self._look(part, is_part=False)

    def _closed(self, schema: Json, *, is_part: bool) -> Json:
        """A schema, closed; ``is_part`` if others hold for the same object."""
        if not isinstance(schema, dict):
            return schema
        given = cast(Schema, schema)
        inner = is_part or _is_gathered(given)
        made = {word: self._keyword(word, value, inner=inner) for word, value in given.items()}
        if is_part or any(word in made for word in _CLOSES):
            return made
        if inner or made.get("$ref") in self._shared:
            if self._names(made, frozenset()):
                made["unevaluatedProperties"] = False
        elif any(word in made for word in _NAMES):
            made["additionalProperties"] = False
        return made

    def _keyword(self, word: str, value: Json, *, inner: bool) -> Json:
        """What a keyword says, with the schemas in it closed; ``inner`` if it stands beside others."""
        is_part = inner and word in (*_ALTERNATIVES, *_BESIDE)
        if isinstance(value, dict) and word in (*_MAPS_OF_PARTS, "dependentSchemas"):
            parts = cast(Schema, value)
            return {name: self._closed(part, is_part=is_part) for name, part in parts.items()}
        if isinstance(value, list) and word in (*_ALTERNATIVES, "allOf", *_LISTS_OF_PARTS):
            return [self._closed(part, is_part=is_part) for part in cast(list[Json], value)]
        if word in (*_PARTS, "then", "else"):
            return self._closed(value, is_part=is_part)
        return cast(Json, value)

    def _names(self, schema: Json, seen: frozenset[str]) -> bool:
        """Whether it names properties, in whatever place."""
        if not isinstance(schema, dict):
            return False
        given = cast(Schema, schema)
        if any(word in given for word in _NAMES):
            return True
        reference = given.get("$ref")
        parts = list(_beside(given))
        if isinstance(reference, str) and reference not in seen:
            seen |= {reference}
            parts.append(referenced(self._schema, reference))
        return any(self._names(part, seen) for part in parts)


def _is_gathered(schema: Schema) -> bool:
    """Whether several places of it say what properties the same object has."""
    places = [word for word in (*_ALTERNATIVES, "then", "else", "dependentSchemas", "$ref") if word in schema]
    own = [word for word in (*_NAMES, *_CLOSES) if word in schema]
    count = len(places) + bool(own) + len(cast(list[Json], schema.get("allOf") or []))
    return count > 1 or "if" in schema or "dependentSchemas" in schema


def _beside(schema: Schema) -> Iterator[Json]:
    """Schemas for the same value."""
    for word in (*_ALTERNATIVES, "allOf"):
        if isinstance(value := schema.get(word), list):
            yield from cast(list[Json], value)
    for word in ("then", "else"):
        if word in schema:
            yield schema[word]
    if isinstance(dependent := schema.get("dependentSchemas"), dict):
        yield from cast(Schema, dependent).values()


def _inside(schema: Schema) -> Iterator[Json]:
    """Schemas for parts of the value."""
    for word in _MAPS_OF_PARTS:
        if isinstance(value := schema.get(word), dict):
            yield from cast(Schema, value).values()
    for word in _LISTS_OF_PARTS:
        if isinstance(value := schema.get(word), list):
            yield from cast(list[Json], value)
    for word in _PARTS:
        if word in schema:
            yield schema[word]


def _mixes(options: Sequence[Json], root: Mapping[str, Json], seen: frozenset[str]) -> bool:
    """Whether one place takes both, given the schemas of which a value there may be any."""
    flat = _alternatives(options, root, frozenset())
    if any(map(_has_names, flat)) and any(map(_is_any_object, flat)):
        return True
    name = _as_text({"of": flat})
    if name in seen:
        return False
    seen |= {name}
    groups: list[list[Json]] = [
        [option.get("items", True) for option in flat if option.get("type") == "array"],
        [option.get("additionalProperties", True) for option in flat if _is_any_object(option)],
    ]
    for option in flat:
        groups += [[part] for part in (*_inside(option), *_beside(option))]
    return any(group and _mixes(group, root, seen) for group in groups)


def _alternatives(options: Sequence[Json], root: Mapping[str, Json], seen: frozenset[str]) -> list[Schema]:
    """The schemas themselves, references and alternatives followed."""
    found: list[Schema] = []
    for option in options:
        if not isinstance(option, Mapping):
            found += [{}] if option is True else []
            continue
        given = cast(Schema, option)
        reference = given.get("$ref")
        if isinstance(reference, str) and reference not in seen:
            found += _alternatives([referenced(root, reference)], root, seen | {reference})
        inner = [part for word in _ALTERNATIVES for part in cast(list[Json], given.get(word) or [])]
        found += _alternatives(inner, root, seen)
        if _has_names(given) or not (inner or reference):
            found.append(given)
    return found


def _has_names(schema: Schema) -> bool:
    return bool(schema.get("properties"))


def _is_any_object(given: Schema) -> bool:
    """Whether it takes any object: a map, or anything at all."""
    kinds = given.get("type")
    of_objects = kinds == "object" or (isinstance(kinds, list) and "object" in kinds)
    takes_objects = of_objects or (kinds is None and not set(given) & {"enum", "const", *_CONSTRAINTS})
    return takes_objects and not given.get("properties") and given.get("additionalProperties") is not False
