"""Which arguments and tools a condition's code names: a misspelt one would be there for no call.

Read off the compiled code: ``context.amount("x")``, ``context.arguments["x"]``, ``context.outputs("tool")``
and their like, in the condition and in the functions it calls that take a ``context`` as well, where the name
is written there, is a constant of the module, or what the condition was made with. A name that is put
together while it runs isn't seen.
"""

import builtins
import dis
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import CodeType, FunctionType, MethodType
from typing import Any, cast

from agentflow.contracts.tools import ToolContract

_OF_ARGUMENTS = frozenset({"amount", "label", "is_trusted"})
_OF_TOOLS = frozenset({"outputs", "calls", "typed"})
_MAPPING = "arguments"
_CONTEXT = "context"
"""How a function that a condition calls names what it is given on."""
_MAX_FUNCTIONS = 200
_MAX_GIVEN = 20
"""Arguments of one call that are looked at."""
_MISSING = object()


@dataclass(frozen=True)
class Reads:
    """What a condition names."""

    arguments: frozenset[str] = frozenset()
    tools: frozenset[str] = frozenset()


def reads_of(condition: Callable[..., Any]) -> Reads:
    """The arguments and the tools that a condition names. Of what is no Python function, none."""
    if not isinstance(condition, FunctionType):
        return _reads(condition)
    made_with = tuple(map(_content, condition.__closure__ or ()))
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
    arguments, tools, seen = set[str](), set[str](), set[tuple[int, str]]()
    waiting = [_Called(found, bound, True) for found, bound in _functions(condition)]
    while waiting and len(seen) < _MAX_FUNCTIONS:
        called = waiting.pop()
        if called.key in seen:
            continue
        seen.add(called.key)
        scope = _Scope(called.function, called.bound)
        code = called.function.__code__
        if context := _context_of(called.function, called.is_condition):
            for kind, value in _named(code, context, scope):
                if isinstance(value, str):
                    (arguments if kind == "argument" else tools).add(value)
                elif kind == "tool" and (contract := _contract(value)) is not None:
                    tools.add(contract.name)
            waiting += _called_with(code, context, scope)
        waiting += [
            _Called(found, bound, False) for value in scope.values() for found, bound in _functions(value)
        ]
    return Reads(frozenset(arguments), frozenset(tools))


_Bound = Mapping[str, object]
"""What parameters of a function are, where that is known."""


@dataclass(frozen=True)
class _Called:
    """A function that a condition is, or calls."""

    function: Any
    bound: _Bound
    is_condition: bool

    @property
    def key(self) -> tuple[int, str]:
        """The same for the same function, called with the same names."""
        texts = [(name, value) for name, value in self.bound.items() if isinstance(value, str)]
        return id(self.function), f"{sorted(texts)}"


class _Scope:
    """What names in a function stand for."""

    def __init__(self, function: FunctionType, bound: _Bound) -> None:
        self._function = function
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        self._closure = {name: _content(cell) for name, cell in cells}
        set_anew = {one.argval for one in _instructions(function.__code__) if one.opname.startswith("STORE_")}
        self._bound = {name: value for name, value in bound.items() if name not in set_anew}

    def of(self, instruction: dis.Instruction) -> object:
        """What an instruction loads, or ``_MISSING``."""
        name = instruction.argval
        match instruction.opname:
            case "LOAD_CONST":
                return name
            case "LOAD_GLOBAL" | "LOAD_NAME":
                return self._function.__globals__.get(name, _MISSING)
            case "LOAD_DEREF" | "LOAD_CLASSDEREF":
                return self._closure.get(name, self._bound.get(name, _MISSING))
            case "LOAD_FAST" | "LOAD_FAST_BORROW" | "LOAD_FAST_CHECK":
                return self._bound.get(name, _MISSING)
            case _:
                return _MISSING

    def value(self, loads: Sequence[dis.Instruction]) -> object:
        """What a name, or an attribute of one, stands for."""
        value = self.of(loads[0])
        for attribute in loads[1:]:
            value = inspect.getattr_static(value, f"{attribute.argval}", _MISSING)
        return value

    def values(self) -> Iterator[object]:
        """All that the function uses of what is outside."""
        yield from self._closure.values()
        for name in _global_names(self._function.__code__):
            if name in self._function.__globals__ and not hasattr(builtins, name):
                yield self._function.__globals__[name]


def _functions(value: object) -> Sequence[tuple[FunctionType, _Bound]]:
    """The Python functions that a call of a value calls, and those that it was made with."""
    if isinstance(value, functools.partial):
        made_with: list[object] = [*value.args, *value.keywords.values()]
        own = [
            (found, {**_bound(found, value.args), **value.keywords, **more})
            for found, more in _functions(value.func)
        ]
        return [*own, *(found for part in made_with for found in _functions(part))]
    if isinstance(value, MethodType):
        return _functions(cast(object, value.__func__))
    if isinstance(value, FunctionType):
        return [(value, {})]
    call: object = None if isinstance(value, type) else getattr(type(value), "__call__", None)  # noqa: B004
    return [(call, {})] if isinstance(call, FunctionType) else []


def _bound(function: FunctionType, given: Sequence[object]) -> _Bound:
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    return dict(zip(names, given, strict=False))


def _called_with(code: CodeType, context: str, scope: _Scope) -> Iterator[_Called]:
    """The functions that code hands the context to, with the names that it gives them beside it."""
    found = _instructions(code)
    for at, instruction in enumerate(found):
        function = scope.of(instruction)
        if not isinstance(function, FunctionType):
            continue
        rest, given, has_context = found[at + 1 :], list[object](), False
        while (loads := _loading(rest)) is not None and len(given) < _MAX_GIVEN:
            has_context |= len(loads) == 1 and loads[0].argval == context
            given.append(scope.value(loads))
            rest = rest[len(loads) :]
        if has_context and rest and rest[0].opname == "CALL" and rest[0].arg == len(given):
            yield _Called(function, _bound(function, given), False)
    for inner in code.co_consts:
        if isinstance(inner, CodeType) and context in inner.co_freevars:
            yield from _called_with(inner, context, scope)


def _context_of(function: FunctionType, is_condition: bool) -> str | None:
    """The name of the parameter that is the ``RuleContext``."""
    code = function.__code__
    parameters = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    if _CONTEXT in parameters:
        return _CONTEXT
    for name, annotation in _annotations(function).items():
        if name in parameters and "RuleContext" in getattr(annotation, "__name__", f"{annotation}"):
            return name
    own = [name for name in parameters if name != "self"]
    return own[0] if is_condition and own else None


def _annotations(function: FunctionType) -> Mapping[str, object]:
    try:
        return function.__annotations__
    except NameError:
        return {}  # of a type that is there for type checkers only


def _named(code: CodeType, context: str, scope: _Scope) -> Iterator[tuple[str, object]]:
    for reader, given in _readings(code, context):
        value = scope.value(given)
        if value is not _MISSING:
            yield reader, value
    for inner in code.co_consts:
        if isinstance(inner, CodeType) and context in inner.co_freevars:
            yield from _named(inner, context, scope)


@lru_cache(maxsize=4_096)
def _readings(code: CodeType, context: str) -> tuple[tuple[str, Sequence[dis.Instruction]], ...]:
    """The places in some code that ask a name of the context: what kind of name, and how it is loaded.

    Read once a process: the sandbox makes an agent's conditions anew for each run, of equal code.
    """
    found = _instructions(code)
    readings: list[tuple[str, Sequence[dis.Instruction]]] = []
    for at, instruction in enumerate(found):
        if not (instruction.opname.startswith("LOAD_") and instruction.argval == context):
            continue
        after = found[at + 1 : at + 12]
        reader, given = _reading(after)
        if given is None and at and _is_contained(after):
            reader, given = "argument", found[at - 1 : at]
        if given is not None and reader is not None:
            readings.append((reader, given))
    return tuple(readings)


@lru_cache(maxsize=4_096)
def _instructions(code: CodeType) -> tuple[dis.Instruction, ...]:
    """Those that load, call and compare; one that loads two variables at once is two."""
    found: list[dis.Instruction] = []
    for one in dis.get_instructions(code):
        argument: object = one.argval
        if isinstance(argument, tuple) and one.opname.startswith("LOAD_FAST"):
            names = cast(tuple[str, ...], argument)
            found += [one._replace(opname="LOAD_FAST", argval=name) for name in names]
        elif one.opname not in _NOISE:
            found.append(one)
    return tuple(found)


def _is_contained(after: Sequence[dis.Instruction]) -> bool:
    """Whether what stands before the context is looked for in its arguments."""
    is_mapping = len(after) > 1 and _is_attribute(after[0]) and after[0].argval == _MAPPING
    return is_mapping and after[1].opname == "CONTAINS_OP"


def _reading(after: Sequence[dis.Instruction]) -> tuple[str | None, Sequence[dis.Instruction] | None]:
    """What the instructions after the context's ask of it: a kind of name, and how the name is loaded."""
    if not after or not _is_attribute(after[0]):
        return None, None
    name = after[0].argval
    if name in _OF_ARGUMENTS:
        return "argument", _loading(after[1:])
    if name in _OF_TOOLS:
        return "tool", _loading(after[1:])
    if name != _MAPPING or len(after) < 2:
        return None, None
    if _is_attribute(after[1]):
        return ("argument", _loading(after[2:])) if after[1].argval == "get" else (None, None)
    given = _loading(after[1:])
    is_subscript = given is not None and len(after) > 1 + len(given) and _subscripts(after[1 + len(given)])
    return ("argument", given) if is_subscript else (None, None)


def _loading(after: Sequence[dis.Instruction]) -> Sequence[dis.Instruction] | None:
    """The instructions of one value: a name or a constant, and the attributes of it."""
    if not after or not after[0].opname.startswith("LOAD_"):
        return None
    length = 1
    while length < len(after) and _is_attribute(after[length]):
        length += 1
    return after[:length]


_NOISE = frozenset({"PRECALL", "PUSH_NULL", "CACHE", "NOP", "RESUME", "COPY_FREE_VARS", "EXTENDED_ARG"})


def _is_attribute(instruction: dis.Instruction) -> bool:
    return instruction.opname in ("LOAD_ATTR", "LOAD_METHOD")


def _subscripts(instruction: dis.Instruction) -> bool:
    return instruction.opname == "BINARY_SUBSCR" or instruction.argrepr == "[]"


def _content(cell: Any) -> object:
    try:
        return cell.cell_contents
    except ValueError:
        return _MISSING  # not filled yet


def _contract(value: object) -> ToolContract | None:
    contract = None if isinstance(value, type) else getattr(value, "contract", None)
    return contract if isinstance(contract, ToolContract) else None


def _global_names(code: CodeType) -> frozenset[str]:
    inner = (_global_names(part) for part in code.co_consts if isinstance(part, CodeType))
    return frozenset(code.co_names).union(*inner)


def arguments_of(contracts: Sequence[ToolContract]) -> Mapping[str, frozenset[str] | None]:
    """Arguments by tool; ``None`` of one whose schema doesn't list them at its top."""
    found: dict[str, frozenset[str] | None] = {}
    for contract in contracts:
        schema = contract.input_schema
        is_listed = not ({"$ref", "allOf", "anyOf", "oneOf", "patternProperties"} & schema.keys())
        found[contract.name] = frozenset(schema.get("properties", {})) if is_listed else None
    return found
