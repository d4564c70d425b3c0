"""What a rule may be made of. A rule that holds for nothing, by a slip, lets through what it was to stop."""

import functools
import inspect
from collections.abc import Iterable, Sequence
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_args

from pydantic import ValidationError

from agentflow.contracts.rules import Quorum, Tier, Verdict
from agentflow.contracts.tools import Effect
from agentflow.contracts.wire import exactly
from agentflow.core.answer import describe_errors
from agentflow.core.tool_reference import ToolRef, tool_name_of
from agentflow.errors import ConfigurationError

if TYPE_CHECKING:
    from agentflow.core.rules import Rule, RuleSet

NameT = TypeVar("NameT", bound=str)

_KNOWN: dict[str, tuple[str, ...]] = {"effects": get_args(Effect), "tiers": get_args(Tier)}
_LATER = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
_PORT = ("engine", "content", "judge")


def names(given: Sequence[NameT]) -> tuple[NameT, ...]:
    """Names as a rule has them.

    Raises:
        ConfigurationError: it is one text, whose letters would be taken for names, or no list at all.
    """
    if isinstance(given, str):
        raise ConfigurationError(f"a rule takes a list of names: write ({given!r},) in place of {given!r}")
    if not isinstance(cast(object, given), Iterable):
        raise ConfigurationError(f"a rule takes a list of names: {given!r} stands alone, without the comma")
    return tuple(given)


def named(option: str, given: Sequence[NameT] | None) -> tuple[NameT, ...]:
    """What a rule is restricted to; without it, to nothing.

    Raises:
        ConfigurationError: it is no list, or an empty one: a rule for nothing would be one for all.
    """
    if given is None:
        return ()
    if found := names(given):
        return found
    raise ConfigurationError(f"{option}= is empty: leave it out where a rule is for all of them")


def tool_names(given: Sequence[ToolRef] | None) -> tuple[str, ...]:
    """The names of the tools that a rule is for.

    Raises:
        ConfigurationError: as ``named``, or something in it is neither a name nor a tool.
    """
    return tuple(tool_name_of(one) for one in named("tools", cast(Any, given)))


def quorum_of(rule: str, people: int, roles: Sequence[str], next_roles: Sequence[str] = ()) -> Quorum:
    """The quorum of a rule.

    Raises:
        ConfigurationError: there is no such quorum, or a role that nobody can have.
    """
    try:
        return Quorum(people=people, roles=names(roles), next_roles=names(next_roles))
    except ValidationError as error:
        raise ConfigurationError(f"rule {rule!r}: {describe_errors(error)}") from None


def check_rule(rule: "Rule") -> None:
    """Hold a rule against its types.

    Raises:
        ConfigurationError: the text says what is wrong with it.
    """
    if not _is_text(rule.name):
        raise ConfigurationError(f"a rule's name is a text, not {rule.name!r}")
    if not isinstance(cast(object, rule.reason), str):
        raise _wrong(rule, f"its reason is a text, not {rule.reason!r}")
    if rule.verdict not in get_args(Verdict):
        raise _wrong(rule, f"there is no verdict {rule.verdict!r}")
    if problem := _condition_problem(rule.when):
        raise _wrong(rule, problem)
    _check_all_names(rule)
    if type(rule.is_guard) is not bool:
        raise _wrong(rule, f"is_guard is {rule.is_guard!r}")
    quorum: object = rule.quorum
    if quorum is None:
        return
    if rule.verdict != "ask":
        raise _wrong(rule, "a quorum belongs to ask")
    if problem := quorum_problem(quorum):
        raise _wrong(rule, problem)


def check_rule_set(rules: "RuleSet", kind: type["Rule"]) -> None:
    """Hold a rule set against its types.

    Args:
        rules: The set.
        kind: Of its rules.

    Raises:
        ConfigurationError: the text says what is wrong with it.
    """
    if not _is_text(rules.name) or not isinstance(cast(object, rules.version), str):
        raise ConfigurationError(
            f"a rule set's name and version are texts, not {rules.name!r} and {rules.version!r}"
        )
    listed, engines = cast(object, rules.rules), cast(object, rules.policies)
    if not isinstance(listed, tuple) or not all(isinstance(rule, kind) for rule in cast(Any, listed)):
        raise ConfigurationError(f"rule set {rules.name}: rules is a tuple of what allow() and its like make")
    if not isinstance(engines, tuple) or not all(_is_engine(one) for one in cast(Any, engines)):
        raise ConfigurationError(f"rule set {rules.name}: policies is a tuple of what cedar_policies() makes")
    tools = cast(object, rules.tools)
    if tools is not None and not isinstance(tools, tuple):
        raise ConfigurationError(f"rule set {rules.name}: tools is a tuple of tools, or None")
    for tool in cast(tuple[object, ...], tools or ()):
        if isinstance(tool, str):
            raise ConfigurationError(
                f"rule set {rules.name}: tools has the name {tool!r}; give the tool itself, whose scopes and "
                "arguments rules are held against"
            )
        tool_name_of(tool)


def quorum_problem(quorum: object) -> str | None:
    """What is wrong with whose consent an action needs."""
    checked = exactly(Quorum, quorum)
    if checked is None:
        return "its quorum is no Quorum that people can meet"
    roles = (*checked.roles, *checked.next_roles)
    return None if all(_is_text(role) for role in roles) else "its quorum has an empty role"


def _condition_problem(when: object) -> str | None:
    """Why a condition could never answer."""
    if not callable(when) or isinstance(when, type) or _answers_later(when):
        return "when= is a function that answers True or False"
    if isinstance(when, FunctionType) and _takes_one(when.__code__):
        return None  # almost all do, and a class is made anew for each run
    try:
        signature = inspect.signature(when)
    except (TypeError, ValueError):
        return None  # a builtin that doesn't say
    try:
        signature.bind(object())
    except TypeError as error:
        return f"when= is called with a RuleContext and nothing else: {error}"
    return None


def _takes_one(code: CodeType) -> bool:
    return (code.co_argcount, code.co_kwonlyargcount) == (1, 0)


def _answers_later(when: Any) -> bool:
    """Whether what a call gives is no answer yet: a coroutine or a generator."""
    kind = cast(type[Any], type(cast(object, when)))
    for function in (when, getattr(kind, "__call__", None)):  # noqa: B004 - the method, not whether
        while isinstance(function, functools.partial):
            function = function.func
        if any(is_later(function) for is_later in _LATER):
            return True
    return False


def _check_all_names(rule: "Rule") -> None:
    for field in ("tools", "effects", "scopes", "tenants", "past_tools"):
        _check_names(rule, field, getattr(rule, field))
    if rule.tiers is not None:
        _check_names(rule, "tiers", rule.tiers)
        if not rule.tiers:
            raise _wrong(rule, "tiers is empty: it would hold nowhere")


def _check_names(rule: "Rule", field: str, given: object) -> None:
    if not isinstance(given, tuple) or not all(_is_text(name) for name in cast(tuple[object, ...], given)):
        raise _wrong(rule, f"{field} is a tuple of names, not {given!r}")
    known = _KNOWN.get(field)
    if known and (unknown := [name for name in cast(tuple[str, ...], given) if name not in known]):
        raise _wrong(rule, f"{field} has {unknown[0]!r}; there are {', '.join(known)}")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_engine(value: object) -> bool:
    return not isinstance(value, type) and all(hasattr(value, name) for name in _PORT)


def _wrong(rule: "Rule", problem: str) -> ConfigurationError:
    return ConfigurationError(f"rule {rule.name}: {problem}")
