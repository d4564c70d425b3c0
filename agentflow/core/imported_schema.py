"""Schemas of an OpenAPI document as JSON Schemas that stand on their own, Draft 2020-12."""

import re
from collections.abc import Callable, Mapping
from typing import cast

from agentflow.contracts.wire import Json
from agentflow.core.ecma_pattern import PatternError, compiled
from agentflow.errors import ConfigurationError

MAX_SCHEMA_DEPTH = 60
"""Levels of nesting: a value of a contract may not be deeper than ``wire.MAX_DEPTH``, arguments included."""

Schema = dict[str, Json]

_MAPS = ("properties", "patternProperties", "dependentSchemas")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_ONES = (
    "items",
    "additionalProperties",
    "unevaluatedProperties",
    "unevaluatedItems",
    "not",
    "if",
    "then",
    "else",
    "contains",
    "propertyNames",
)
_KEPT = [
    "type",
    "enum",
    "const",
    "format",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minContains",
    "maxContains",
    "minProperties",
    "maxProperties",
    "required",
    "dependentRequired",
    "description",
    "default",
]
"""What a check or a model makes use of. Titles, examples, XML names and extensions only cost tokens."""


class Schemas:
    """The schemas of one document."""

    def __init__(self, document: Mapping[str, Json], *, is_3_0: bool, without_patterns: bool = False) -> None:
        """Take a document.

        Args:
            document: As it was read.
            is_3_0: Whether it is of OpenAPI 3.0.
            without_patterns: Leave out patterns that can't be tested in linear time.
        """
        self._document = document
        self._is_3_0 = is_3_0
        self._without_patterns = without_patterns

    def standing_alone(self, schema: Json, where: str) -> Schema:
        """A schema with all that it refers to under ``$defs``. One that refers to itself goes on doing so.

        Args:
            schema: As the document has it.
            where: Named in errors.

        Raises:
            ConfigurationError: a reference leads nowhere or out of the document, it is nested too deep, or a
                pattern can't be tested in linear time.
        """
        names: dict[str, str] = {}
        made = self._translated(schema, where, names, 0)
        definitions: Schema = {}
        while missing := [pointer for pointer, name in names.items() if name not in definitions]:
            for pointer in missing:
                target = self.at(pointer, where)
                definitions[names[pointer]] = self._translated(target, f"{where}, {pointer}", names, 0)
        return {**made, "$defs": dict(sorted(definitions.items()))} if definitions else made

    def at(self, reference: str, where: str) -> Json:
        """What a reference leads to.

        Raises:
            ConfigurationError: nothing, or another document.
        """
        if not reference.startswith("#/"):
            raise ConfigurationError(
                f"{where}: the reference {reference!r} leads out of the document; bundle it into one first"
            )
        found: Json = self._document
        for step in reference.removeprefix("#/").split("/"):
            key = step.replace("~1", "/").replace("~0", "~")
            parts = found
            if isinstance(parts, list) and key.isdigit() and int(key) < len(cast(list[Json], parts)):
                found = cast(list[Json], parts)[int(key)]
            elif isinstance(parts, dict) and key in parts:
                found = cast(Schema, parts)[key]
            else:
                raise ConfigurationError(f"{where}: the reference {reference!r} leads nowhere")
        return found

    def resolved(self, value: Json, where: str) -> Schema:
        """A part of the document, references followed: a parameter, a body, a response.

        Raises:
            ConfigurationError: a reference leads nowhere, out of the document or in a circle, or it is none.
        """
        seen: set[str] = set()
        while isinstance(value, dict) and "$ref" in value:
            reference = str(cast(Schema, value)["$ref"])
            if reference in seen:
                raise ConfigurationError(f"{where}: the reference {reference!r} leads in a circle")
            seen.add(reference)
            value = self.at(reference, where)
        if not isinstance(value, dict):
            raise ConfigurationError(f"{where}: an object was expected, not {type(value).__name__}")
        return cast(Schema, value)

    def _translated(self, schema: Json, where: str, names: dict[str, str], depth: int) -> Schema:
        if depth > MAX_SCHEMA_DEPTH:
            raise ConfigurationError(f"{where}: the schema is nested deeper than {MAX_SCHEMA_DEPTH} levels")
        if schema is True or schema == {}:
            return {}
        if schema is False:
            return {"not": {}}
        if not isinstance(schema, dict):
            raise ConfigurationError(f"{where}: a schema was expected, not {type(schema).__name__}")
        given = cast(Schema, schema)
        if dynamic := [word for word in ("$dynamicRef", "$recursiveRef") if word in given]:
            raise ConfigurationError(f"{where}: {dynamic[0]} can't be followed: write a $ref")

        given = self._with_testable_patterns(given, where)

        def inner(part: Json) -> Json:
            return self._translated(part, where, names, depth + 1)

        made = _with_parts(given, inner)
        if "$ref" in given:
            reference = {"$ref": f"#/$defs/{_name_of(str(given['$ref']), names)}"}
            # Before 3.1, what stands beside a reference means nothing.
            made = reference if self._is_3_0 else {**reference, **made}
        return _modern(made, given) if self._is_3_0 else made

    def _with_testable_patterns(self, given: Schema, where: str) -> Schema:
        by_pattern = given.get("patternProperties")
        named = list(cast(Schema, by_pattern)) if isinstance(by_pattern, dict) else []
        pattern = given.get("pattern")
        slow: list[str] = []
        for one in (*([pattern] if isinstance(pattern, str) else []), *named):
            try:
                compiled(one)
            except PatternError as error:
                if not self._without_patterns:
                    said = f"{where}: {error}; or import it --without-patterns: the outside system tests it"
                    raise ConfigurationError(said) from None
                slow.append(one)
        if not slow:
            return given
        kept: Schema = {
            word: value for word, value in given.items() if word != "pattern" or value not in slow
        }
        if isinstance(by_pattern, dict):
            parts = cast(Schema, by_pattern)
            kept["patternProperties"] = {name: part for name, part in parts.items() if name not in slow}
        return kept


def _with_parts(given: Schema, inner: Callable[[Json], Json]) -> Schema:
    """The keywords that are kept, with the schemas in them translated."""
    made: Schema = {}
    for keyword, value in given.items():
        if keyword in _KEPT:
            made[keyword] = value
        elif keyword in _MAPS and isinstance(value, dict):
            made[keyword] = {name: inner(part) for name, part in cast(Schema, value).items()}
        elif keyword in _LISTS and isinstance(value, list):
            made[keyword] = [inner(part) for part in cast(list[Json], value)]
        elif keyword in _ONES:
            made[keyword] = value if isinstance(value, bool) else inner(value)
    return made


def _name_of(pointer: str, names: dict[str, str]) -> str:
    """The name under ``$defs``, made once for each reference."""
    if pointer not in names:
        wanted = re.sub(r"[^A-Za-z0-9_.-]+", "_", pointer.rsplit("/", 1)[-1]) or "schema"
        name, number = wanted, 2
        while name in names.values():
            name, number = f"{wanted}_{number}", number + 1
        names[pointer] = name
    return names[pointer]


def _modern(made: Schema, given: Schema) -> Schema:
    """A schema of OpenAPI 3.0 in the words of Draft 2020-12."""
    for bound, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if made.get(bound) is True and limit in made:
            made[bound] = made.pop(limit)
        elif isinstance(made.get(bound), bool):
            del made[bound]
    if given.get("nullable") is not True:
        return made
    if isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
        if "enum" in made and None not in made["enum"]:
            made["enum"] = [*made["enum"], None]
        return made
    return {"anyOf": [made, {"type": "null"}]}
