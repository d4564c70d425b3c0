"""Schemas of arguments, closed at every level: what nothing names is refused, however deep it is.

An object that names its properties takes no others, unless its schema says that it does
(``"additionalProperties": true``, or a schema for them). One that names none is a map, open on purpose.
"""

import json
import re
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
_CONDITIONS = ("if", "not")
"""What is in here only looks at the value. Closed, it would be met by less, and ``not`` would refuse less."""
_DEFINITIONS = ("$defs", "definitions")
_TO_DEFINITION = re.compile(r"#/(\$defs|definitions)/([^/%]+)")
"""References to where schemas are closed, beside ``#``. What any other leads to may be open."""
_LITERALS = ("const", "enum", "default", "examples")
_DYNAMIC = ("$dynamicRef", "$recursiveRef")
_AS_WRITTEN = ".as_written"
"""How the names of definitions end that conditions have as they were written."""
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
    """Whether every object that names its properties is closed, the arguments themselves included.

    One that a reference leads to is closed if it is a definition at the schema's top, and open otherwise.
    """
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
    return not _Closing(json.loads(text)).goes_astray and json.loads(_closed(text)) == json.loads(text)


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
        self._looked_at: set[str] = set()
        """References in conditions, and in what these lead to."""
        self.goes_astray: bool = False
        """Whether a reference leads to where nothing is closed."""
        self._copied: frozenset[str] = frozenset()
        """References to definitions that conditions have as they were written, beside the closed ones."""
        self._look(schema, is_part=False)
        self._copied = self._copies()

    def made(self) -> Schema:
        made = self._closed(self._schema, is_part="#" in self._shared)
        for word, named in self._definitions():
            parts = {name: self._definition(_to(word, name), part) for name, part in named.items()}
            for name, part in named.items():
                if _to(word, name) in self._copied:
                    parts[name + _AS_WRITTEN] = self._as_looked_at(part)
            made[word] = parts
        return made

    def _definitions(self) -> Iterator[tuple[str, Schema]]:
        for word in _DEFINITIONS:
            if isinstance(named := self._schema.get(word), dict):
                yield word, cast(Schema, named)

    def _definition(self, reference: str, schema: Json) -> Json:
        if reference in self._looked_at and reference not in self._shared | self._alone:
            return self._as_looked_at(schema)
        return self._closed(schema, is_part=reference in self._shared)

    def _copies(self) -> frozenset[str]:
        both = self._looked_at & (self._shared | self._alone)
        differ = any(
            _to(word, name) in both and self._definition(_to(word, name), part) != part
            for word, named in self._definitions()
            for name, part in named.items()
        )
        return frozenset(both - {"#"}) if differ else frozenset()

    def _look_into(self, condition: Json) -> None:
        """Find out what a condition refers to."""
        for reference in _references(condition):
            if reference not in self._looked_at:
                self._looked_at.add(reference)
                self._look_into(referenced(self._schema, reference))

    def _as_looked_at(self, condition: Json) -> Json:
        """A condition, which refers to what was written."""
        if isinstance(condition, list):
            return [self._as_looked_at(part) for part in cast(list[Json], condition)]
        if not isinstance(condition, dict):
            return condition
        given = cast(Schema, condition)
        made = {word: part if word in _LITERALS else self._as_looked_at(part) for word, part in given.items()}
        if isinstance(reference := given.get("$ref"), str):
            made["$ref"] = reference + (_AS_WRITTEN if reference in self._copied else "")
        return made

    def _look(self, schema: Json, *, is_part: bool) -> None:
        """Find out what each reference stands for."""
        if not isinstance(schema, dict):
            return
        given = cast(Schema, schema)
        inner = is_part or _is_gathered(given)
        if isinstance(reference := given.get("$ref"), str):
            self.goes_astray |= reference != "#" and not _TO_DEFINITION.fullmatch(reference)
            kinds = self._shared if inner else self._alone
            if reference not in kinds:
                kinds.add(reference)
                self._look(referenced(self._schema, reference), is_part=inner)
        self.goes_astray |= any(word in given for word in _DYNAMIC)
        for word in _CONDITIONS:
            self._look_into(given.get(word))
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
        if word in _CONDITIONS:
            return self._as_looked_at(value)
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


def _to(word: str, name: str) -> str:
    """The reference to a definition."""
    return f"#/{word}/{name.replace('~', '~0').replace('/', '~1')}"


def _references(schema: Json) -> Iterator[str]:
    """All references in a schema."""
    if isinstance(schema, list):
        for part in cast(list[Json], schema):
            yield from _references(part)
    elif isinstance(schema, dict):
        given = cast(Schema, schema)
        if isinstance(reference := given.get("$ref"), str):
            yield reference
        for word, part in given.items():
            if word not in _LITERALS:
                yield from _references(part)


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
