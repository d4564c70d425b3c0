"""Which arguments, tools and tiers a condition's code names: a misspelt one would be there for no call.

Read off the compiled code: ``context.amount("x")``, ``context.arguments["x"]``, ``context.outputs("tool")``,
``context.tier == "dev"`` and their like, in the condition and in the functions it calls that take a
``context`` or a part of one, where the name is written there, is a constant of the module, or what the
condition was made with. A name that is put together while it runs isn't seen; ``context.arguments`` answers
for none that no tool has.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import FunctionType, MethodType
from typing import Any, cast

from agentflow.contracts.tools import ToolContract
from agentflow.core.rule_code import MISSING, Code, Names, attribute_of, content

_CONTEXT = "context"
"""How a function that a condition calls names what it is given on."""
_MAX_FUNCTIONS = 200


@dataclass(frozen=True)
class Reads:
    """What a condition names."""

    arguments: frozenset[str] = frozenset()
    tools: frozenset[str] = frozenset()
    tiers: frozenset[str] = frozenset()
    effects: frozenset[str] = frozenset()


def reads_of(condition: Callable[..., Any]) -> Reads:
    """What a condition names. Of what is no Python function, nothing."""
    if not isinstance(condition, FunctionType):
        return _reads(condition)
    made_with = (*map(content, condition.__closure__ or ()), *(condition.__defaults__ or ()))
    if not all(isinstance(value, str | int | None) for value in made_with):
        return _reads(condition)
    return _reads_once(_Once((condition.__module__, condition.__code__, made_with), condition))


@dataclass(frozen=True)
class _Once:
    """A condition, known by what it is: the sandbox makes it anew for each run."""

    key: tuple[object, ...]
    condition: Callable[..., Any] = field(compare=False)


@lru_cache(maxsize=4_096)
def _reads_once(once: _Once) -> Reads:
    return _reads(once.condition)


def _reads(condition: Callable[..., Any]) -> Reads:
    named: dict[str, set[str]] = {"argument": set(), "tool": set(), "tier": set(), "effect": set()}
    seen = set[tuple[int, str]]()
    waiting = _conditions(condition)
    while waiting and len(seen) < _MAX_FUNCTIONS:
        called = waiting.pop()
        if called.key in seen:
            continue
        seen.add(called.key)
        code = Code(called.function, called.names)
        for kind, value in code.asked():
            named[kind] |= _texts(kind, value)
        waiting += [_Called(one.function, _with_defaults(one.function, one.names)) for one in code.handed()]
        waiting += [found for value in code.closure.values() for found in _conditions(value)]
        waiting += [found for value in code.globals() for found in _helpers(value)]
    return Reads(*(frozenset(named[kind]) for kind in ("argument", "tool", "tier", "effect")))


@dataclass(frozen=True)
class _Called:
    """A function that a condition is, or calls."""

    function: Any
    names: Names

    @property
    def key(self) -> tuple[int, str]:
        """The same for the same function, called with the same names."""
        bound = [(name, _known_by(value)) for name, value in self.names.bound.items()]
        return id(self.function), f"{sorted(bound)} {sorted(self.names.chains.items())}"


def _known_by(value: object) -> str:
    return value if isinstance(value, str) else f"{id(value)}"


def _texts(kind: str, value: object) -> set[str]:
    """The names that a value is, or is a list of."""
    if isinstance(value, str):
        return {value}
    if kind in ("tool", "effect", "tier") and isinstance(value, tuple | list | frozenset | set):
        return {one for one in cast(Sequence[object], value) if isinstance(one, str)}
    contract = _contract(value) if kind == "tool" else None
    return set() if contract is None else {contract.name}


def _conditions(value: object, depth: int = 0) -> list[_Called]:
    """The functions that a call of a condition calls, those included that it was made with."""
    if depth > _MAX_DEPTH:
        return []
    own: list[_Called] = []
    parts: list[object] = []
    if isinstance(value, functools.partial):
        parts = [*value.args, *value.keywords.values()]
        own = [_given(one, value.args, value.keywords) for one in _conditions(value.func, depth + 1)]
    elif isinstance(value, FunctionType):
        own = [_condition(value, ())]
    elif isinstance(value, MethodType) and isinstance(value.__func__, FunctionType):
        own = [_condition(value.__func__, (value.__self__,))]
    elif isinstance(value, tuple | list):
        parts = list(cast(Sequence[object], value))[:_MAX_FUNCTIONS]
    elif not isinstance(value, type) and _contract(value) is None:
        call = attribute_of(type(value), "__call__")
        if isinstance(call, FunctionType):
            own, parts = [_condition(call, (value,))], _fields(value)
    return [*own, *(one for part in parts for one in _conditions(part, depth + 1))]


_MAX_DEPTH = 10
"""Conditions within conditions."""


def _helpers(value: object) -> list[_Called]:
    """Functions of a module that a condition may call: those that take a ``context``."""
    found = [_Called(one.function, Names(one.names.bound)) for one in _conditions(value)]
    named = ((one, _named_context(one.function)) for one in found)
    return [_Called(one.function, Names(one.names.bound, {name: ()})) for one, name in named if name]


def _fields(value: object) -> list[object]:
    """What an object holds."""
    slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
    held = [*getattr(value, "__dict__", {}).values(), *(attribute_of(value, name) for name in slots)]
    return [one for one in held if one is not MISSING]


def _condition(function: FunctionType, bound_to: Sequence[object]) -> _Called:
    """A function that is asked with the context, after what it is bound to."""
    own = _parameters(function)
    names = Names(dict(zip(own, bound_to, strict=False)))
    context = _named_context(function) or next(iter(own[len(bound_to) :]), None)
    if context is not None:
        names = Names(names.bound, {context: ()})
    return _Called(function, _with_defaults(function, names))


def _given(called: _Called, first: Sequence[object], named: Mapping[str, object]) -> _Called:
    """A function with some of its arguments given before it is asked."""
    own = _parameters(called.function)
    free = [
        name for name in own if not (name in called.names.bound and name not in _defaults(called.function))
    ]
    bound = {**called.names.bound, **dict(zip(free, first, strict=False)), **named}
    context = _named_context(called.function) or next((name for name in free if name not in bound), None)
    given = {**dict(zip(free, first, strict=False)), **named}
    if context in given:
        context = next((name for name in free if name not in given), None)
    return _Called(called.function, Names(bound, {context: ()} if context else {}))


def _with_defaults(function: FunctionType, names: Names) -> Names:
    defaults = {name: value for name, value in _defaults(function).items() if name not in names.chains}
    return Names({**defaults, **names.bound}, names.chains)


def _defaults(function: FunctionType) -> Mapping[str, object]:
    given = function.__defaults__ or ()
    positional = function.__code__.co_varnames[: function.__code__.co_argcount]
    return {
        **dict(zip(reversed(positional), reversed(given), strict=False)),
        **(function.__kwdefaults__ or {}),
    }


def _parameters(function: FunctionType) -> tuple[str, ...]:
    code = function.__code__
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def _named_context(function: FunctionType) -> str | None:
    """The parameter that is the ``RuleContext`` by its name, or by its type."""
    parameters = _parameters(function)
    if _CONTEXT in parameters:
        return _CONTEXT
    for name, annotation in _annotations(function).items():
        if name in parameters and "RuleContext" in getattr(annotation, "__name__", f"{annotation}"):
            return name
    return None


def _annotations(function: FunctionType) -> Mapping[str, object]:
    try:
        return function.__annotations__
    except NameError:
        return {}  # of a type that is there for type checkers only


def _contract(value: object) -> ToolContract | None:
    contract = None if isinstance(value, type) else getattr(value, "contract", None)
    return contract if isinstance(contract, ToolContract) else None


def arguments_of(contracts: Sequence[ToolContract]) -> Mapping[str, frozenset[str] | None]:
    """Arguments by tool; ``None`` of one whose schema doesn't list them at its top."""
    found: dict[str, frozenset[str] | None] = {}
    for contract in contracts:
        schema = contract.input_schema
        is_listed = not ({"$ref", "allOf", "anyOf", "oneOf", "patternProperties"} & schema.keys())
        found[contract.name] = frozenset(schema.get("properties", {})) if is_listed else None
    return found


def names_of_arguments(contracts: Sequence[ToolContract]) -> frozenset[str] | None:
    """Arguments of all tools; ``None`` where one's schema doesn't list them at its top."""
    listed = [names for names in arguments_of(contracts).values() if names is not None]
    return frozenset[str]().union(*listed) if len(listed) == len(contracts) else None
