"""What a JSON Schema marks as personal or secret, found in values of that schema."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from agentflow.contracts.tags import TAG
from agentflow.contracts.wire import MAX_DEPTH, Json
from agentflow.core.schema_parts import referenced

Schema = Mapping[str, Json]
_Path = tuple[str | int, ...]

_PART_OF_ALL = ("allOf", "anyOf", "oneOf")
"""Which alternative a value is of isn't looked at: what any of them marks is marked."""


@dataclass(frozen=True)
class Tagged:
    """A value that is marked."""

    kind: str
    value: Json
    """A text, a number or a truth value."""
    path: tuple[str | int, ...]
    """Where it is: names of fields, and places in lists."""


class TagFinder:
    """Finds the marked values of one schema."""

    def __init__(self, schema: Schema | None) -> None:
        self._schema: Schema = schema or {}
        self.has_tags: bool = schema is not None and _has_tag(schema, MAX_DEPTH)
        """Whether the schema marks anything."""

    @property
    def marking(self) -> dict[str, Json]:
        """The schema, if it marks anything; else an empty one, which marks as little."""
        return dict(self._schema) if self.has_tags else {}

    def find(self, value: Json) -> Iterator[Tagged]:
        """The marked values in a value, whether or not it fits the schema."""
        if self.has_tags:
            yield from self._find(value, self._schema, ())

    def masked(self, value: Json) -> Json:
        """The value with ``[kind]`` in place of all that is marked, however short."""
        found = {tagged.path: tagged.kind for tagged in self.find(value)}
        return _masked(value, found, ()) if found else value

    def _find(self, value: Json, schema: Json, path: _Path, hops: int = 0) -> Iterator[Tagged]:
        if not isinstance(schema, Mapping) or len(path) + hops > MAX_DEPTH:
            return
        schema = cast(Schema, schema)
        if kind := schema.get(TAG):
            yield from (Tagged(str(kind), leaf, place) for leaf, place in _leaves(value, path))
            return
        if isinstance(reference := schema.get("$ref"), str):
            yield from self._find(value, referenced(self._schema, reference), path, hops + 1)
        for word in _PART_OF_ALL:
            for part in cast(Sequence[Json], schema.get(word) or ()):
                yield from self._find(value, part, path, hops + 1)
        if isinstance(value, Mapping):
            named: Mapping[str, Json] = schema.get("properties") or {}
            for name, part in cast(Mapping[str, Json], value).items():
                inside = named.get(name, schema.get("additionalProperties"))
                yield from self._find(part, inside, (*path, name), hops)
        elif isinstance(value, list | tuple):
            first: Sequence[Json] = schema.get("prefixItems") or ()
            for index, part in enumerate(cast(Sequence[Json], value)):
                inside = first[index] if index < len(first) else schema.get("items")
                yield from self._find(part, inside, (*path, index), hops)


def without_tags(schema: Json) -> Json:
    """The schema without the marks, for models: some refuse words they don't know."""
    if isinstance(schema, Mapping):
        parts = cast(Schema, schema).items()
        return {word: without_tags(part) for word, part in parts if word != TAG}
    if isinstance(schema, list | tuple):
        return [without_tags(part) for part in cast(Sequence[Json], schema)]
    return schema


def _has_tag(schema: Json, left: int) -> bool:
    if not left:
        # Deeper than any value may be: whatever is there is taken for marked.
        return True
    if isinstance(schema, Mapping):
        parts = cast(Schema, schema)
        return TAG in parts or any(_has_tag(part, left - 1) for part in parts.values())
    if isinstance(schema, list | tuple):
        return any(_has_tag(part, left - 1) for part in cast(Sequence[Json], schema))
    return False


def _leaves(value: Json, path: _Path) -> Iterator[tuple[Json, _Path]]:
    """All texts, numbers and truth values in a value, names of fields left out."""
    if isinstance(value, Mapping):
        for name, part in cast(Mapping[str, Json], value).items():
            yield from _leaves(part, (*path, name))
    elif isinstance(value, list | tuple):
        for index, part in enumerate(cast(Sequence[Json], value)):
            yield from _leaves(part, (*path, index))
    elif value is not None:
        yield value, path


def _masked(value: Json, found: Mapping[_Path, str], path: _Path) -> Json:
    if path in found:
        return f"[{found[path]}]"
    if isinstance(value, Mapping):
        parts = cast(Mapping[str, Json], value).items()
        return {name: _masked(part, found, (*path, name)) for name, part in parts}
    if isinstance(value, list | tuple):
        parts = enumerate(cast(Sequence[Json], value))
        return [_masked(part, found, (*path, index)) for index, part in parts]
    return value


@dataclass(frozen=True)
class AgentTags:
    """What the types of an agent mark."""

    task: TagFinder
    arguments: Mapping[str, TagFinder]
    """By tool."""
    outputs: Mapping[str, TagFinder]
    """By tool."""
    answer: TagFinder

    @property
    def are_any(self) -> bool:
        """Whether any is marked."""
        finders = (self.task, self.answer, *self.arguments.values(), *self.outputs.values())
        return any(finder.has_tags for finder in finders)
