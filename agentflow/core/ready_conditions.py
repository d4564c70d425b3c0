"""Conditions of the library's own rules: values, so that a run can be pinned to them.

What one of them answers for the same call never changes: a condition that should answer otherwise is a new
class with a new name.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeGuard, cast

from agentflow.contracts.wire import Json
from agentflow.core.leaves import leaves
from agentflow.core.readings import TooManyReadingsError, readings, squeezed
from agentflow.core.rule_context import RuleContext
from agentflow.core.rules import Condition

MIN_SECRET = 4
"""Shorter values are in every text."""


@dataclass(frozen=True)
class UntrustedSinks:
    """Holds for a call one of whose sinks has a value that nothing trusted has."""

    ready: ClassVar[str] = "untrusted_sinks"
    unless: Condition | None = None
    """Calls that it lets be."""

    def __call__(self, context: RuleContext) -> bool:
        """Look where the values of the sinks are from."""
        if self.unless is not None and self.unless(context) is True:
            return False
        return bool(context.untrusted_sinks())


@dataclass(frozen=True)
class UnverifiedRequester:
    """Holds where nothing but the starter's word says who asked for the run."""

    ready: ClassVar[str] = "unverified_requester"

    def __call__(self, context: RuleContext) -> bool:
        """Look whether the requester is verified."""
        return not context.requester_verified


@dataclass(frozen=True)
class PassesOn:
    """Holds for a call one of whose arguments has a value that one of these tools gave.

    Keys are values. White space is all alike, and what the arguments have encoded is read.
    """

    ready: ClassVar[str] = "passes_on"
    sources: tuple[str, ...] = ()
    """Names of the tools."""

    def __call__(self, context: RuleContext) -> bool:
        """Look for the tools' values in the arguments."""
        kept = {
            squeezed(value)
            for call in context.past_calls
            if call.tool in self.sources
            for value in call.values
        }
        secrets = [value for value in kept if len(value) >= MIN_SECRET]
        if not secrets:
            return False
        try:
            said = "\0".join(_said(context))
        except TooManyReadingsError:
            return True
        return any(value in said for value in secrets)


ReadyCondition = UntrustedSinks | UnverifiedRequester | PassesOn

_BY_NAME: Mapping[str, type[ReadyCondition]] = {
    kind.ready: kind for kind in (UntrustedSinks, UnverifiedRequester, PassesOn)
}


def is_ready(condition: Condition) -> TypeGuard[ReadyCondition]:
    """Whether a condition is one of the library's. A subclass is code: what it answers is its own."""
    return type(condition) in _BY_NAME.values()


def values_of(condition: ReadyCondition) -> dict[str, Json]:
    """The fields of a condition as JSON, without ``unless``."""
    named = {field.name: getattr(condition, field.name) for field in fields(condition)}
    return {name: _plain(value) for name, value in named.items() if name != "unless"}


def ready_condition(name: str, values: Mapping[str, Json], unless: Condition | None) -> ReadyCondition:
    """The condition that ``values_of`` was made of.

    Raises:
        KeyError: there is none of this name: it is of a later version of the library.
    """
    made: dict[str, Any] = {
        key: tuple(cast(list[Json], value)) if isinstance(value, list) else value
        for key, value in values.items()
    }
    kind = _BY_NAME[name]
    return kind(**made, unless=unless) if kind is UntrustedSinks else kind(**made)


def _said(context: RuleContext) -> Iterator[str]:
    """What the arguments say, in all their readings."""
    for leaf in leaves(dict(context.arguments), "", context.tool.input_schema):
        yield from map(squeezed, readings(leaf.text))


def _plain(value: object) -> Json:
    return list(cast(tuple[Json, ...], value)) if isinstance(value, tuple) else value
