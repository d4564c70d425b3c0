"""Types of arguments that have no canonical form, found in pydantic's own description of them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from pydantic import BaseModel

_FIELDS = ("model-field", "dataclass-field", "typed-dict-field")
_NO_SCHEMAS = ("metadata", "default", "serialization", "config", "cls", "function", "expected")
"""What stands there may be anything of the user's."""


_CALLS_OF_CLASSES = ("custom_init", "post_init", "missing")
_NEVER_CALLED = ("metadata", "default", "cls", "expected", "members")
_PLAIN_MODULES = ("builtins", "collections", "datetime", "decimal", "ipaddress", "pathlib", "uuid")


def without_canonical_form(model: type[BaseModel]) -> Iterator[str]:
    """Say what in the types of a tool's arguments is written otherwise than it is read.

    Args:
        model: Of the arguments.
    """
    yield from dict.fromkeys(_problems(cast(Any, model).__pydantic_core_schema__, ""))


def runs_code(model: type[BaseModel]) -> bool:
    """Whether reading or writing the arguments calls anything but pydantic's own code and plain types.

    What can't be told is taken for code.

    Args:
        model: Of the arguments.
    """
    return _has_code(cast(Any, model).__pydantic_core_schema__)


def _has_code(node: object) -> bool:
    if isinstance(node, Mapping):
        parts = cast(Mapping[str, object], node)
        if any(parts.get(word) for word in _CALLS_OF_CLASSES):
            return True
        return any(_has_code(part) for word, part in parts.items() if word not in _NEVER_CALLED)
    if isinstance(node, list | tuple):
        return any(map(_has_code, cast(Sequence[object], node)))
    return callable(node) and not _is_plain(node)


def _is_plain(function: object) -> bool:
    module = str(getattr(function, "__module__", "")).partition(".")[0]
    return module.startswith("pydantic") or (isinstance(function, type) and module in _PLAIN_MODULES)


def _problems(schema: object, name: str) -> Iterator[str]:
    if isinstance(schema, Mapping):
        node = cast(Mapping[str, Any], schema)
        if node.get("type") in _FIELDS:
            name = str(node.get("name") or name)
            read = node.get("validation_alias")
            name = read if isinstance(read, str) else name
            yield from _of_field(node, name)
        if node.get("type") == "generator":
            yield f"{name}: an Iterable can be read once only: write list[...]"
        if node.get("type") == "json":
            yield f"{name}: Json hides what is in it in a text: write the type itself"
        if _imports(node.get("function")):
            yield f"{name}: an ImportString lets a model say which code runs: write Literal[...] or an Enum"
        for word, part in node.items():
            if word not in _NO_SCHEMAS:
                yield from _problems(part, word if _is_field(part) else name)
    elif isinstance(schema, Sequence) and not isinstance(schema, str | bytes):
        for part in cast(Sequence[object], schema):
            yield from _problems(part, name)


def _imports(how: object) -> bool:
    function = cast(Mapping[str, object], how).get("function") if isinstance(how, Mapping) else None
    return getattr(function, "__name__", "") == "import_string" and _is_plain(function)


def in_pythons_engine(model: type[BaseModel]) -> Iterator[str]:
    """Say which arguments are held to a pattern in Python's engine, which may take exponential time.

    Args:
        model: Of the arguments.
    """
    yield from dict.fromkeys(_pythons(cast(Any, model).__pydantic_core_schema__, "", is_pythons=False))


def _pythons(schema: object, name: str, *, is_pythons: bool) -> Iterator[str]:
    if isinstance(schema, Mapping):
        node = cast(Mapping[str, Any], schema)
        read = node.get("validation_alias") if _is_field(node) else None
        name = read if isinstance(read, str) else name
        config: Mapping[str, Any] = node.get("config") or {}
        engine: str | None = node.get("regex_engine") or config.get("regex_engine")
        is_pythons = engine == "python-re" if engine else is_pythons
        pattern = node.get("pattern") if node.get("type") == "str" else None
        if isinstance(pattern, re.Pattern) or (pattern and is_pythons):
            yield (
                f"{name}: its pattern runs in Python's engine, which can take for ever: write it as text, "
                'without regex_engine="python-re"'
            )
        for word, part in node.items():
            if word not in _NO_SCHEMAS:
                yield from _pythons(part, word if _is_field(part) else name, is_pythons=is_pythons)
    elif isinstance(schema, Sequence) and not isinstance(schema, str | bytes):
        for part in cast(Sequence[object], schema):
            yield from _pythons(part, name, is_pythons=is_pythons)


def _is_field(node: object) -> bool:
    return isinstance(node, Mapping) and cast(Mapping[str, object], node).get("type") in _FIELDS


def _of_field(node: Mapping[str, Any], name: str) -> Iterator[str]:
    if node.get("serialization_exclude"):
        yield f"{name}: it is left out when the arguments are written (exclude=True)"
    if node.get("serialization_exclude_if"):
        yield f"{name}: it may be left out when the arguments are written (exclude_if=)"
    if node.get("init_only"):
        yield f"{name}: an InitVar is read and never written: write a field"
    if node.get("validation_alias") != node.get("serialization_alias"):
        yield f"{name}: it is read under another name than it is written: write alias="
