"""Parts of JSON Schemas: what a reference points to, and what is left without the words for people."""

from collections.abc import Iterator, Mapping
from typing import cast

from agentflow.contracts.wire import Json

_WORDS = ("title", "description", "examples", "deprecated", "$comment")
_MAPS = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_LITERALS = ("const", "enum", "default")


def referenced(root: Json, reference: str) -> Json:
    """What a ``$ref`` within a schema points to; ``None`` where that is nothing."""
    found = root
    for step in reference.removeprefix("#").split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        found = cast(Mapping[str, Json], found).get(key) if isinstance(found, Mapping) else None
    return found


def subschemas(schema: Json) -> Iterator[Mapping[str, Json]]:
    """A schema, and each schema in it. What a literal or an example holds is none, whatever it looks like."""
    if isinstance(schema, list):
        for part in cast(list[Json], schema):
            yield from subschemas(part)
    if not isinstance(schema, Mapping):
        return
    words = cast(Mapping[str, Json], schema)
    yield words
    for word, part in words.items():
        if word in _MAPS and isinstance(part, Mapping):
            yield from subschemas(list(cast(Mapping[str, Json], part).values()))
        elif word not in (*_LITERALS, *_WORDS):
            yield from subschemas(part)


def without_words(schema: Json) -> Json:
    """A schema as far as it says what values may be: without titles, descriptions and examples.

    Names of properties and definitions may be the same words, and so may be parts of a literal: they stay.
    """
    if isinstance(schema, list):
        return [without_words(part) for part in cast(list[Json], schema)]
    if not isinstance(schema, Mapping):
        return schema
    parts = cast(Mapping[str, Json], schema).items()
    return {word: _without_words(word, part) for word, part in parts if word not in _WORDS}


def _without_words(word: str, part: Json) -> Json:
    if word in _LITERALS:
        return part
    if word in _MAPS and isinstance(part, Mapping):
        return {name: without_words(each) for name, each in cast(Mapping[str, Json], part).items()}
    return without_words(part)
