"""What a JSON Schema marks as personal or secret, found in values of that schema."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from agentflow.contracts.tags import TAG
from agentflow.contracts.wire import MAX_DEPTH, Json
from agentflow.core.leaves import TOO_MANY, Places

Schema = Mapping[str, Json]
_Path = tuple[str | int, ...]

UNKNOWN = "unknown"
"""Kind of what has more schemas than are looked at: any of them may mark it."""


@dataclass(frozen=True)
class Tagged:
    """A value that is marked."""

    kind: str
    value: Json
    """A text, a number or a truth value."""
    path: tuple[str | int, ...]
    """Where it is: names of fields, and places in lists."""
    is_key: bool = False
    """Whether it is the name of the field itself, which no schema gives to it."""


class TagFinder:
    """Finds the marked values of one schema."""

    def __init__(self, schema: Schema | None) -> None:
        self._schema: Schema = schema or {}
        self._places = Places(self._schema)
        self.has_tags: bool = schema is not None and _has_tag(schema, MAX_DEPTH)
        """Whether the schema marks anything."""

    @property
    def marking(self) -> dict[str, Json]:
        """The schema, if it marks anything; else an empty one, which marks as little."""
        return dict(self._schema) if self.has_tags else {}

    def find(self, value: Json) -> Iterator[Tagged]:
        """The marked values in a value, whether or not it fits the schema."""
        if self.has_tags:
            yield from self._find(value, self._places.at(self._schema), (), None)

    def masked(self, value: Json) -> Json:
        """The value with ``[kind]`` in place of all that is marked, however short."""
        found = {(tagged.path, tagged.is_key): tagged.kind for tagged in self.find(value)}
        return _masked(value, found, ()) if found else value

    def _find(
        self, value: Json, schemas: Sequence[Schema], path: _Path, kind: str | None
    ) -> Iterator[Tagged]:
        """Those of a value of which so much holds, and that is all of one kind or of none."""
        if len(path) > MAX_DEPTH:
            return
        # Which alternative a value is of isn't looked at: what any of them marks is marked.
        kind = kind or _kind_of(schemas)
        if isinstance(value, Mapping):
            names = self._places.at(*(schema.get("propertyNames") for schema in schemas))
            for name, part in cast(Mapping[str, Json], value).items():
                is_named, inside = self._places.of_field(tuple(schemas), name)
                if (of_key := _kind_of(names) or kind) and not is_named:
                    yield Tagged(of_key, name, (*path, name), is_key=True)
                yield from self._find(part, inside, (*path, name), kind)
        elif isinstance(value, list | tuple):
            for index, part in enumerate(cast(Sequence[Json], value)):
                inside = self._places.of_item(tuple(schemas), index)
                yield from self._find(part, inside, (*path, index), kind)
        elif kind and value is not None:
            yield Tagged(kind, value, path)


def _kind_of(schemas: Sequence[Schema]) -> str | None:
    found = (UNKNOWN if schema is TOO_MANY else schema.get(TAG) for schema in schemas)
    return next((str(kind) for kind in found if kind), None)


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


def _masked(value: Json, found: Mapping[tuple[_Path, bool], str], path: _Path) -> Json:
    if (path, False) in found:
        return f"[{found[path, False]}]"
    if isinstance(value, Mapping):
        masked: dict[str, Json] = {}
        for name, part in cast(Mapping[str, Json], value).items():
            place = (*path, name)
            shown = f"[{found[place, True]}]" if (place, True) in found else name
            while shown in masked:
                shown += "'"
            masked[shown] = _masked(part, found, place)
        return masked
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
