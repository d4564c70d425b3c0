"""JSON values that rules may look at and not change: what one rule takes out, the next would not see."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, NoReturn, cast

from agentflow.contracts.wire import MAX_DEPTH, Json


def _refuse(*_: object, **__: object) -> NoReturn:
    raise TypeError("what a rule looks at can't be changed: copy it first, with copy.deepcopy or sorted()")


class FrozenObject(dict[str, Any]):
    """A JSON object that stays as it is."""

    __setitem__: Callable[..., NoReturn] = _refuse  # pyright: ignore[reportIncompatibleMethodOverride]
    __delitem__: Callable[..., NoReturn] = _refuse  # pyright: ignore[reportIncompatibleMethodOverride]
    __ior__: Callable[..., NoReturn] = _refuse  # pyright: ignore[reportIncompatibleMethodOverride]
    clear: Callable[..., NoReturn] = _refuse  # pyright: ignore[reportIncompatibleMethodOverride]
    pop: Callable[..., NoReturn] = _refuse  # pyright: ignore[reportIncompatibleMethodOverride]
    popitem: Callable[..., NoReturn] = _refuse  # pyright: ignore[reportIncompatibleMethodOverride]
    setdefault: Callable[..., NoReturn] = _refuse  # pyright: ignore[reportIncompatibleMethodOverride]
    update: Callable[..., NoReturn] = _refuse  # pyright: ignore[reportIncompatibleMethodOverride]

    def __copy__(self) -> dict[str, Json]:
        return dict(self)

    def __deepcopy__(self, memo: object) -> dict[str, Json]:
        return cast(dict[str, Json], thawed(self))

    def __reduce__(self) -> Any:
        return dict, (dict(self),)


class FrozenArray(list[Any]):
    """A JSON array that stays as it is."""

    __setitem__: Callable[..., NoReturn] = _refuse  # pyright: ignore[reportIncompatibleMethodOverride]
    __delitem__: Callable[..., NoReturn] = _refuse  # pyright: ignore[reportIncompatibleMethodOverride]
    __iadd__: Callable[..., NoReturn] = _refuse  # pyright: ignore[reportIncompatibleMethodOverride]
    __imul__: Callable[..., NoReturn] = _refuse  # pyright: ignore[reportIncompatibleMethodOverride]
    append: Callable[..., NoReturn] = _refuse  # pyright: ignore[reportIncompatibleMethodOverride]
    clear: Callable[..., NoReturn] = _refuse  # pyright: ignore[reportIncompatibleMethodOverride]
    extend: Callable[..., NoReturn] = _refuse  # pyright: ignore[reportIncompatibleMethodOverride]
    insert: Callable[..., NoReturn] = _refuse  # pyright: ignore[reportIncompatibleMethodOverride]
    pop: Callable[..., NoReturn] = _refuse  # pyright: ignore[reportIncompatibleMethodOverride]
    remove: Callable[..., NoReturn] = _refuse  # pyright: ignore[reportIncompatibleMethodOverride]
    reverse: Callable[..., NoReturn] = _refuse  # pyright: ignore[reportIncompatibleMethodOverride]
    sort: Callable[..., NoReturn] = _refuse  # pyright: ignore[reportIncompatibleMethodOverride]

    def __copy__(self) -> list[Json]:
        return list(self)

    def __deepcopy__(self, memo: object) -> list[Json]:
        return cast(list[Json], thawed(self))

    def __reduce__(self) -> Any:
        return list, (list(self),)


class Arguments(FrozenObject):
    """A call's arguments as rules look at them: one that no tool has is not answered for.

    ``None`` for a misspelt name would be no match, and what was to be stopped would run.
    """

    known: Collection[str] | None = None
    """Names of arguments that some tool has; ``None`` where not all tools list theirs."""

    @classmethod
    def of(cls, given: Mapping[str, Json], known: Collection[str] | None) -> "Arguments":
        """Arguments, frozen."""
        if type(given) is cls and given.known == known:
            return given
        made = cls({name: frozen(value) for name, value in given.items()})
        made.known = known
        return made

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or self._is_missing(name)

    def get(self, name: str, default: Any = None, /) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The argument, or the default where the call leaves it out.

        Raises:
            ValueError: no tool has it: the rule then denies.
        """
        found = name in self
        return self[name] if found else default

    def _is_missing(self, name: object) -> bool:
        if self.known is not None and name not in self.known:
            raise ValueError(f"no tool has an argument {name!r}; there are: {', '.join(sorted(self.known))}")
        return False


def frozen(value: Json, depth: int = MAX_DEPTH) -> Json:
    """A copy of a JSON value that can't be changed; the value itself if it is one.

    What is nested too deep to be decided on is left as it is.
    """
    if isinstance(value, FrozenObject | FrozenArray) or not depth:
        return value
    if isinstance(value, dict):
        parts = cast(dict[str, Json], value).items()
        return FrozenObject({name: frozen(part, depth - 1) for name, part in parts})
    if isinstance(value, list | tuple):
        return FrozenArray(frozen(part, depth - 1) for part in cast(list[Json], value))
    return value


def thawed(value: Json) -> Json:
    """A copy of a JSON value that can be changed."""
    if isinstance(value, dict):
        return {name: thawed(part) for name, part in cast(dict[str, Json], value).items()}
    return list(map(thawed, cast(list[Json], value))) if isinstance(value, list) else value
