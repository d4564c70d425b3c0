"""What a rule set is, as its hash sees it: fields, conditions and what these were made with."""

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, timedelta
from decimal import Decimal
from types import CodeType
from typing import Any, cast

from agentflow.contracts.wire import Json

_PLAIN = (str, int, float, Decimal, bool, bytes, type(None), timedelta, date)


def condition_content(condition: Callable[..., Any]) -> Json:
    """A condition's name, and the values that it was made with: closure, defaults, fields of its object.

    Its code is covered by the source of its module.
    """
    content: dict[str, Json] = {"name": _name(condition)}
    if made_with := [_value(part) for part in _parts(condition)]:
        content["with"] = made_with
    return content


def code_content(condition: Callable[..., Any]) -> Json:
    """A condition's compiled code, where its module has no source. Other Pythons compile other code."""
    owner = _owner(condition)
    code = getattr(owner.__call__ if isinstance(owner, type) else owner, "__code__", None)
    return _compiled(code) if isinstance(code, CodeType) else None


def modules_of(condition: Callable[..., Any]) -> frozenset[str]:
    """The modules that a condition, and the functions that it was made with, are written in."""
    own = frozenset({_owner(condition).__module__})
    inner = (part for part in _parts(condition) if callable(part) and not isinstance(part, type))
    return own.union(*(modules_of(part) for part in inner))


def _name(condition: Callable[..., Any]) -> str:
    owner = _owner(condition)
    return f"{owner.__module__}.{owner.__qualname__}"


def _owner(condition: Callable[..., Any]) -> Any:
    """What has the name of a condition: the function, or the class of a callable object."""
    if isinstance(condition, functools.partial):
        return _owner(cast(Callable[..., Any], condition.func))
    return condition if hasattr(condition, "__qualname__") else type(condition)


def _parts(condition: Callable[..., Any]) -> Iterator[object]:
    """What a condition was made with."""
    if isinstance(condition, functools.partial):
        yield from condition.args
        yield from condition.keywords.items()
        yield from _parts(cast(Callable[..., Any], condition.func))
        return
    if is_dataclass(condition):
        yield from ((field.name, getattr(condition, field.name)) for field in fields(condition))
        return
    yield from getattr(condition, "__defaults__", None) or ()
    yield from (getattr(condition, "__kwdefaults__", None) or {}).items()
    for cell in getattr(condition, "__closure__", None) or ():
        yield cell.cell_contents


def _compiled(code: CodeType) -> Json:
    constants = [_compiled(part) if isinstance(part, CodeType) else _value(part) for part in code.co_consts]
    return [code.co_code.hex(), list(code.co_names), list(code.co_varnames), constants]


def _value(value: object) -> Json:
    if isinstance(value, _PLAIN):
        return f"{type(value).__name__}:{value}"
    if isinstance(value, Mapping):
        items = cast(Mapping[object, object], value).items()
        return sorted(([_value(key), _value(part)] for key, part in items), key=str)
    if isinstance(value, set | frozenset):
        return sorted((_value(part) for part in cast(frozenset[object], value)), key=str)
    if isinstance(value, tuple | list):
        return [_value(part) for part in cast(tuple[object, ...], value)]
    if callable(value) and not isinstance(value, type):
        return condition_content(value)
    # No repr: it may hold an address in memory, which is another one in each process.
    return f"{type(value).__module__}.{type(value).__qualname__}"
