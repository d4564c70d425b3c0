"""What the compiled code of a condition asks of the context, and which functions it hands that to.

Names that stand for the context, or for a part of it (``given = context.arguments``), are followed through
the code that they are stored in; so are names that stand for a constant, or for each of several.
"""

import builtins
import dis
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import CodeType, FunctionType, ModuleType
from typing import Any, cast

MISSING = object()
"""A value that is known only when the code runs."""

Chain = tuple[str, ...]
"""What a name stands for: attributes of the context, one of another. Empty is the context itself."""

_OF_ARGUMENTS = frozenset({"amount", "label", "is_trusted"})
_OF_TOOLS = frozenset({"outputs", "calls", "typed"})
_COMPARED: Mapping[Chain, str] = {("tool", "name"): "tool", ("tool", "effect"): "effect", ("tier",): "tier"}
_MAPPING = "arguments"
_HERE = "<context>"
"""Stands for the context in code, whatever its name there."""
_MAX_GIVEN = 20
"""Arguments of one call that are looked at."""
_NOISE = frozenset(
    {"PRECALL", "PUSH_NULL", "CACHE", "NOP", "RESUME", "COPY_FREE_VARS", "EXTENDED_ARG", "COPY", "NOT_TAKEN"}
)
_FAST = re.compile("(LOAD|STORE)_FAST")


@dataclass(frozen=True)
class Each:
    """Stands for each of several values, one after the other."""

    values: tuple[object, ...]


@dataclass(frozen=True)
class Names:
    """What names in some code stand for, where that is known."""

    bound: Mapping[str, object] = field(default_factory=dict[str, object])
    chains: Mapping[str, Chain] = field(default_factory=dict[str, Chain])
    """Those that stand for the context, or a part of it."""

    def within(self, names: Sequence[str]) -> "Names":
        """Those that code inside of it has as well."""
        return Names(
            {name: self.bound[name] for name in names if name in self.bound},
            {name: self.chains[name] for name in names if name in self.chains},
        )


@dataclass(frozen=True)
class Handed:
    """A function that is called with the context, or a part of it."""

    function: Any
    names: Names


class Code:
    """Some code of a function, with what is known of its names."""

    def __init__(self, function: FunctionType, names: Names, code: CodeType | None = None) -> None:
        self.function = function
        self.code: CodeType = code or function.__code__
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        self.closure: Mapping[str, object] = {name: content(cell) for name, cell in cells}
        plain = _instructions(self.code)
        stored = [one.argval for one in plain if one.opname.startswith("STORE_")]
        self._names = Names(
            {name: value for name, value in names.bound.items() if name not in stored},
            {name: chain for name, chain in names.chains.items() if name not in stored},
        )
        self._found = self._followed(plain, stored)

    def asked(self) -> Iterator[tuple[str, object]]:
        """The names that are asked for: of what kind (argument, tool, tier, effect), and which."""
        found = self._found
        for at, instruction in enumerate(found):
            if instruction.argval != _HERE:
                continue
            for kind, given in _readings(found, at):
                value = self._value(given)
                for one in value.values if isinstance(value, Each) else (value,):
                    if one is not MISSING:
                        yield kind, one
        for inner in self._inner():
            yield from inner.asked()

    def handed(self) -> Iterator[Handed]:
        """The functions that it hands the context to, with the names that it gives them beside it."""
        found = self._found
        for at, _ in enumerate(found):
            loads = _loading(found[at:])
            if loads is None:
                continue
            for length in range(1, len(loads) + 1):
                function, given = self._function(loads[:length])
                if function is not None and (handed := self._call(function, given, found[at + length :])):
                    yield handed
        for inner in self._inner():
            yield from inner.handed()

    def globals(self) -> Iterator[object]:
        """All that it uses of its module."""
        for name in _global_names(self.code):
            if name in self.function.__globals__ and not hasattr(builtins, name):
                yield self.function.__globals__[name]

    def _inner(self) -> Iterator["Code"]:
        found = self._found
        for at, instruction in enumerate(found):
            inner: object = instruction.argval
            if instruction.opname != "LOAD_CONST" or not isinstance(inner, CodeType):
                continue
            names = self._names.within(inner.co_freevars)
            after = [one for one in found[at + 1 : at + 8] if one.opname != "SET_FUNCTION_ATTRIBUTE"]
            # A generator or a comprehension is a function, called with what it runs through.
            if after and after[0].opname == "MAKE_FUNCTION" and (loads := _loading(after[1:])):
                names = Names({**names.bound, ".0": self._value(loads)}, names.chains)
            yield Code(self.function, names, inner)

    def _followed(
        self, plain: Sequence[dis.Instruction], stored: Sequence[object]
    ) -> Sequence[dis.Instruction]:
        """The instructions with the context in the place of each name that stands for a part of it."""
        found = _with_context(plain, self._names.chains)
        for at, instruction in enumerate(plain):
            if instruction.opname.startswith("STORE_") and stored.count(instruction.argval) <= _TIMES:
                self._store(found, plain, at)
                found = _with_context(plain, self._names.chains)
        return found

    def _store(self, found: Sequence[dis.Instruction], plain: Sequence[dis.Instruction], at: int) -> None:
        """Learn what a name stands for from then on."""
        name = f"{plain[at].argval}"
        place = next(index for index, one in enumerate(found) if one is plain[at])
        start = place - 1
        while start >= 0 and _is_attribute(found[start]):
            start -= 1
        before = found[start] if start >= 0 else None
        if before is None:
            return
        if before.argval == _HERE:
            chain = tuple(f"{one.argval}" for one in found[start + 1 : place])
            self._names = Names(self._names.bound, {**self._names.chains, name: chain})
        elif before.opname.startswith("LOAD_"):
            self._bind(name, self._value(found[start:place]))
        elif before.opname == "FOR_ITER" and start >= 1:
            source = next(one for one in reversed(found[:start]) if one.opname not in _BEFORE_A_LOOP)
            values = self._value([source]) if source.opname.startswith("LOAD_") else MISSING
            if isinstance(values, tuple | list | frozenset):
                values = Each(tuple(cast(Sequence[object], values)))
            self._bind(name, values if isinstance(values, Each) else MISSING)

    def _bind(self, name: str, value: object) -> None:
        if value is not MISSING and not isinstance(value, CodeType):
            self._names = Names({**self._names.bound, name: value}, self._names.chains)

    def _of(self, instruction: dis.Instruction) -> object:
        """What an instruction loads, or ``MISSING``."""
        name = instruction.argval
        match instruction.opname:
            case "LOAD_CONST" | "LOAD_SMALL_INT":
                return name
            case "LOAD_GLOBAL" | "LOAD_NAME":
                return self.function.__globals__.get(name, MISSING)
            case "LOAD_DEREF" | "LOAD_CLASSDEREF":
                return self.closure.get(name, self._names.bound.get(name, MISSING))
            case "LOAD_FAST" | "LOAD_FAST_BORROW" | "LOAD_FAST_CHECK":
                value = self._names.bound.get(name, MISSING)
                if name == ".0" and isinstance(value, tuple | list | frozenset):
                    return Each(tuple(cast(Sequence[object], value)))
                return value
            case _:
                return MISSING

    def _value(self, loads: Sequence[dis.Instruction]) -> object:
        """What a name, or an attribute of one, stands for."""
        value = self._of(loads[0])
        for attribute in loads[1:]:
            value = attribute_of(value, f"{attribute.argval}")
        return value

    def _function(self, loads: Sequence[dis.Instruction]) -> tuple[FunctionType | None, Sequence[object]]:
        """The function that a name, or an attribute of one, stands for, and what it is bound to."""
        value = self._value(loads)
        function: object = _unwrapped(value)
        if not isinstance(function, FunctionType):
            return None, ()
        owner = self._value(loads[:-1]) if len(loads) > 1 else MISSING
        is_alone = owner is MISSING or isinstance(owner, type | ModuleType) or isinstance(value, staticmethod)
        return function, (() if is_alone and not isinstance(value, classmethod) else (owner,))

    def _call(
        self, function: FunctionType, bound_to: Sequence[object], rest: Sequence[dis.Instruction]
    ) -> Handed | None:
        given: list[Sequence[dis.Instruction]] = []
        while (loads := _loading(rest)) is not None and len(given) < _MAX_GIVEN:
            given.append(loads)
            rest = rest[len(loads) :]
        by_name: Sequence[str] = ()
        if rest and rest[0].opname == "KW_NAMES":
            by_name, rest = cast(tuple[str, ...], rest[0].argval), rest[1:]
        elif rest and rest[0].opname == "CALL_KW" and given:
            by_name = cast(tuple[str, ...], given.pop()[0].argval)
        if not (rest and rest[0].opname in ("CALL", "CALL_KW") and rest[0].arg == len(given)):
            return None
        parameters = function.__code__.co_varnames[: function.__code__.co_argcount]
        free = parameters[len(bound_to) :]
        named = dict(zip((*free[: len(given) - len(by_name)], *by_name), given, strict=False))
        chains = {
            name: tuple(f"{one.argval}" for one in loads[1:])
            for name, loads in named.items()
            if loads[0].argval == _HERE
        }
        values = {name: self._value(loads) for name, loads in named.items() if name not in chains}
        if not chains:
            return None
        bound = dict(zip(parameters, bound_to, strict=False))
        return Handed(function, Names({**bound, **values}, chains))


_TIMES = 2
"""How often a name may be stored that is followed: a comprehension puts back what was there before it."""
_BEFORE_A_LOOP = frozenset(
    {"GET_ITER", "SWAP", "BUILD_LIST", "BUILD_SET", "BUILD_MAP", "LOAD_FAST_AND_CLEAR", "FOR_ITER"}
)


def attribute_of(value: object, name: str) -> object:
    """An attribute of a value, without running code of its own; ``MISSING`` where that can't be."""
    found: object = MISSING if value is MISSING else inspect.getattr_static(value, name, MISSING)
    if inspect.ismemberdescriptor(found):  # of a class with __slots__
        try:
            return found.__get__(value, type(value))
        except AttributeError:
            return MISSING
    return found


def _unwrapped(value: object) -> object:
    is_wrapped = isinstance(value, staticmethod | classmethod)
    return cast(object, cast(Any, value).__func__) if is_wrapped else value


def content(cell: Any) -> object:
    """What a cell of a closure holds."""
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING  # not filled yet


@lru_cache(maxsize=4_096)
def _instructions(code: CodeType) -> tuple[dis.Instruction, ...]:
    """Those that load, store, call and compare; one that does so with two variables at once is two."""
    found: list[dis.Instruction] = []
    for one in dis.get_instructions(code):
        argument: object = one.argval
        if isinstance(argument, tuple) and (kinds := _FAST.findall(one.opname)):
            names = cast(tuple[str, ...], argument)
            pairs = zip(kinds, names, strict=False)
            found += [one._replace(opname=f"{kind}_FAST", argval=name) for kind, name in pairs]
        elif one.opname == "KW_NAMES":
            found.append(one._replace(argval=code.co_consts[one.arg or 0]))
        elif one.opname not in _NOISE:
            found.append(one)
    return tuple(found)


def _with_context(plain: Sequence[dis.Instruction], chains: Mapping[str, Chain]) -> Sequence[dis.Instruction]:
    found: list[dis.Instruction] = []
    for one in plain:
        name: object = one.argval
        is_load = one.opname.startswith(("LOAD_FAST", "LOAD_DEREF", "LOAD_CLASSDEREF"))
        if is_load and isinstance(name, str) and name in chains and "CLEAR" not in one.opname:
            found.append(one._replace(opname="LOAD_FAST", argval=_HERE))
            found += [one._replace(opname="LOAD_ATTR", argval=attribute) for attribute in chains[name]]
        else:
            found.append(one)
    return found


def _readings(found: Sequence[dis.Instruction], at: int) -> Iterator[tuple[str, Sequence[dis.Instruction]]]:
    """What is asked of the context where it is loaded: a kind of name, and how the name is loaded."""
    loads = _loading(found[at:]) or ()
    chain = tuple(f"{one.argval}" for one in loads[1:])
    after = found[at + len(loads) : at + len(loads) + _MAX_GIVEN]
    given = _loading(after)
    before = _loaded_before(found, at)
    if chain == (_MAPPING,):
        if given and len(after) > len(given) and _subscripts(after[len(given)]):
            yield "argument", given
        if before and after and after[0].opname == "CONTAINS_OP":
            yield "argument", before
    elif given and (chain == (_MAPPING, "get") or (len(chain) == 1 and chain[0] in _OF_ARGUMENTS)):
        yield "argument", given
    elif given and len(chain) == 1 and chain[0] in _OF_TOOLS:
        yield "tool", given
    elif (kind := _COMPARED.get(chain)) is not None:
        if given and len(after) > len(given) and _compares(after[len(given)]):
            yield kind, given
        if before and after and _compares(after[0]) and after[0].opname == "COMPARE_OP":
            yield kind, before


def _loaded_before(found: Sequence[dis.Instruction], at: int) -> Sequence[dis.Instruction] | None:
    start = at - 1
    while start >= 0 and _is_attribute(found[start]):
        start -= 1
    if start < 0 or not found[start].opname.startswith("LOAD_") or found[start].argval == _HERE:
        return None
    return found[start:at]


def _loading(after: Sequence[dis.Instruction]) -> Sequence[dis.Instruction] | None:
    """The instructions of one value: a name or a constant, and the attributes of it."""
    if not after or not after[0].opname.startswith("LOAD_") or _is_attribute(after[0]):
        return None
    length = 1
    while length < len(after) and _is_attribute(after[length]):
        length += 1
    return after[:length]


def _is_attribute(instruction: dis.Instruction) -> bool:
    return instruction.opname in ("LOAD_ATTR", "LOAD_METHOD")


def _subscripts(instruction: dis.Instruction) -> bool:
    return instruction.opname == "BINARY_SUBSCR" or instruction.argrepr == "[]"


def _compares(instruction: dis.Instruction) -> bool:
    """Whether it asks if two values are the same, or one is among others."""
    is_same = instruction.opname == "COMPARE_OP" and any(sign in f"{instruction.argval}" for sign in _SAME)
    return is_same or instruction.opname == "CONTAINS_OP"


_SAME = ("==", "!=")


def _global_names(code: CodeType) -> frozenset[str]:
    inner = (_global_names(part) for part in code.co_consts if isinstance(part, CodeType))
    return frozenset(code.co_names).union(*inner)
