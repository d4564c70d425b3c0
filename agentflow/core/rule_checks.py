"""What a rule may be made of. A rule that holds for nothing, by a slip, lets through what it was to stop."""

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_args

from pydantic import ValidationError

from agentflow.contracts.rules import Quorum, Tier, Verdict
from agentflow.contracts.tools import Effect
from agentflow.contracts.wire import exactly
from agentflow.core.answer import describe_errors
from agentflow.errors import ConfigurationError

if TYPE_CHECKING:
    from agentflow.core.rules import Rule, RuleSet

NameT = TypeVar("NameT", bound=str)

_KNOWN: dict[str, tuple[str, ...]] = {"effects": get_args(Effect), "tiers": get_args(Tier)}
_PORT = ("engine", "content", "judge")


def names(given: Sequence[NameT]) -> tuple[NameT, ...]:
    """Names as a rule has them.

    Raises:
        ConfigurationError: it is one text: its letters would be taken for names.
    """
    if isinstance(given, str):
        raise ConfigurationError(f"a rule takes a list of names: write ({given!r},) in place of {given!r}")
    return tuple(given)


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
    when: object = rule.when
    if not callable(when) or inspect.iscoroutinefunction(when) or isinstance(when, type):
        raise _wrong(rule, "when= is a function that answers True or False")
    for field in ("tools", "effects", "scopes", "tenants", "tiers"):
        _check_names(rule, field, getattr(rule, field))
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


def quorum_problem(quorum: object) -> str | None:
    """What is wrong with whose consent an action needs."""
    checked = exactly(Quorum, quorum)
    if checked is None:
        return "its quorum is no Quorum that people can meet"
    roles = (*checked.roles, *checked.next_roles)
    return None if all(_is_text(role) for role in roles) else "its quorum has an empty role"


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
