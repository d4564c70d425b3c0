"""What a condition is, as a rule set's hash sees it.

Its source, what it was made with (closure, defaults, fields of its object), and, by name, what it uses: the
functions it calls, wherever they are written, and the constants it reads: plain values, patterns, members of
enumerations, dataclasses. Of classes, modules and other objects the name counts, and nothing more. So an
unrelated change to a rule's module changes nothing, and one to a helper in another module does.
"""

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from types import CodeType, FunctionType, MethodType
from typing import Any, cast

from agentflow.contracts.wire import Json

SourceOf = Callable[[CodeType], str | None]
"""Answers the source of some code, or ``None`` where there is only the code."""

_PLAIN = (str, int, float, Decimal, bool, bytes, type(None), timedelta, date)


def condition_content(condition: Callable[..., Any], source_of: SourceOf) -> Json:
    """All that a condition's answers depend on, as far as it is followed; the same in each process."""
    return _Reader(source_of).content(condition)


_READY_CONDITIONS = "agentflow.core.ready_conditions"
"""Module of the conditions that are values: a change of the library's code is none of theirs."""


class _Reader:
    def __init__(self, source_of: SourceOf) -> None:
        self._source_of = source_of
        self._seen: set[int] = set()

    def content(self, condition: Callable[..., Any]) -> Json:
        if type(condition).__module__ == _READY_CONDITIONS:
            made_with = [self._value(part) for part in _fields(condition)]
            return {"ready": type(condition).__name__, "with": made_with}
        function = _function(condition)
        content: dict[str, Json] = {"name": f"{function.__module__}.{function.__qualname__}"}
        if id(condition) in self._seen:
            return content
        self._seen.add(id(condition))
        content["source"] = self._source(function.__code__)
        if made_with := [self._value(part) for part in _parts(condition)]:
            content["with"] = made_with
        if uses := {name: self._value(value) for name, value in sorted(_uses(function).items())}:
            content["uses"] = uses
        return content

    def _source(self, code: CodeType) -> Json:
        source = self._source_of(code)
        # Another version of Python compiles another code: only where there is nothing better.
        return self._compiled(code) if source is None else source

    def _compiled(self, code: CodeType) -> Json:
        constants = [self._value(part) for part in code.co_consts]
        return [code.co_code.hex(), list(code.co_names), list(code.co_varnames), constants]

    def _value(self, value: object) -> Json:
        if isinstance(value, Enum):
            # Before the plain ones: the text of one that is a text, too, depends on the version of Python.
            return [_named(type(value)), value.name, self._value(value.value)]
        if isinstance(value, _PLAIN):
            return f"{type(value).__name__}:{value}"
        if isinstance(value, Mapping):
            items = cast(Mapping[object, object], value).items()
            return sorted(([self._value(key), self._value(part)] for key, part in items), key=str)
        if isinstance(value, set | frozenset):
            return sorted((self._value(part) for part in cast(frozenset[object], value)), key=str)
        if isinstance(value, tuple | list):
            return [self._value(part) for part in cast(tuple[object, ...], value)]
        return self._compiled(value) if isinstance(value, CodeType) else self._object(value)

    def _object(self, value: object) -> Json:
        if isinstance(value, FunctionType | MethodType | functools.partial):
            return self.content(cast(Callable[..., Any], value))
        if callable(value) and is_dataclass(value) and not isinstance(value, type):
            return self.content(cast(Callable[..., Any], value))
        # No repr: it may hold an address in memory, which is another one in each process.
        named = _named(value if isinstance(value, type) else type(value))
        if isinstance(value, re.Pattern):
            pattern = cast(re.Pattern[Any], value)
            return [named, self._value(pattern.pattern), pattern.flags]
        made_with = [self._value(part) for part in _fields(value)] if self._is_new(value) else None
        return [named, made_with] if made_with else named

    def _is_new(self, value: object) -> bool:
        if id(value) in self._seen:
            return False
        self._seen.add(id(value))
        return True


def _function(condition: Callable[..., Any]) -> FunctionType:
    """The function that answers for a condition."""
    if isinstance(condition, functools.partial):
        return _function(cast(Callable[..., Any], condition.func))
    if isinstance(condition, MethodType):
        return cast(FunctionType, condition.__func__)
    if isinstance(condition, FunctionType):
        return condition
    call = type(condition).__call__
    if not isinstance(call, FunctionType):
        raise TypeError(f"{condition!r} is no Python function, so nobody can tell what it is made of")
    return call


def _parts(condition: Callable[..., Any]) -> Iterator[object]:
    """What a condition was made with."""
    if isinstance(condition, functools.partial):
        yield from condition.args
        yield from condition.keywords.items()
        yield from _parts(cast(Callable[..., Any], condition.func))
        return
    owner: object = condition.__self__ if isinstance(condition, MethodType) else condition
    yield from _fields(owner)
    function = _function(condition)
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).items()
    for cell in function.__closure__ or ():
        yield cell.cell_contents


def _named(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _fields(owner: object) -> Iterator[tuple[str, object]]:
    if is_dataclass(owner) and not isinstance(owner, type):
        yield from ((field.name, getattr(owner, field.name)) for field in fields(owner))


def _uses(function: FunctionType) -> Mapping[str, object]:
    """The globals of its module that a function names."""
    return {
        name: function.__globals__[name] for name in _names(function.__code__) if name in function.__globals__
    }


def _names(code: CodeType) -> frozenset[str]:
    inner = (_names(part) for part in code.co_consts if isinstance(part, CodeType))
    return frozenset(code.co_names).union(*inner)
