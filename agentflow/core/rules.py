"""Rules as they are written: ``allow``, ``deny``, ``ask``, and the set that an agent's rules are.

Allow and ask rules hold in the tiers they name, and ``production`` must be named: a write there needs a rule
that was written for it. One that names no tiers holds in ``dev`` and ``staging``, and keeps a worker in
production from starting.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from agentflow.contracts.rules import Quorum, RuleSetName, Tier, Verdict
from agentflow.contracts.tools import Effect, ToolContract
from agentflow.contracts.wire import Json, sha256_of
from agentflow.core.rule_checks import check_rule, check_rule_set, named, quorum_of, tool_names
from agentflow.core.rule_content import SourceOf, condition_content
from agentflow.core.rule_context import RuleContext
from agentflow.core.rule_names import check_rule_names
from agentflow.core.tool_reference import Contracted, ToolRef

Condition = Callable[[RuleContext], bool]

EVERY_TIER: tuple[Tier, ...] = ("dev", "staging", "production")
TIERS_UNLESS_NAMED: tuple[Tier, ...] = ("dev", "staging")
WRITES: tuple[Effect, ...] = ("write", "irreversible")


def always(context: RuleContext) -> bool:
    """Holds for every call."""
    return True


@dataclass(frozen=True)
class Rule:
    """One rule. Make it with ``allow``, ``deny`` or ``ask``."""

    name: str
    verdict: Verdict
    reason: str
    """For the person who reads the decision, and for the model that is refused."""
    when: Condition = always
    tools: tuple[str, ...] = ()
    """Names of the tools it is for; empty is all. So are the next three."""
    effects: tuple[Effect, ...] = ()
    scopes: tuple[str, ...] = ()
    """It is for tools that need one of these."""
    tenants: tuple[str, ...] = ()
    tiers: tuple[Tier, ...] | None = None
    """``None`` names none: see ``holds_in``."""
    quorum: Quorum | None = None
    is_guard: bool = False
    """A guard asks of what another rule would let through. By itself it lets nothing through."""
    past_tools: tuple[str, ...] = ()
    """Tools whose earlier calls its condition looks at, where its code doesn't name them."""

    def __post_init__(self) -> None:
        """Refuse what would make a rule hold for other calls than it seems to.

        Raises:
            ConfigurationError: something in it is of another type, or no such effect or tier exists.
        """
        check_rule(self)

    @property
    def holds_in(self) -> tuple[Tier, ...]:
        """The tiers it holds in.

        Without named ones, what closes a door holds in all, and what opens one not in production.
        """
        if self.tiers is not None:
            return self.tiers
        return EVERY_TIER if self.closes else TIERS_UNLESS_NAMED

    @property
    def closes(self) -> bool:
        """Whether it can only take away from what other rules let through."""
        return self.verdict == "deny" or self.is_guard


@dataclass(frozen=True)
class Match:
    """What one rule, or one policy of another engine, says of a call."""

    name: str
    verdict: Verdict
    reason: str
    quorum: Quorum | None = None
    is_guard: bool = False


class Policies(Protocol):
    """Rules in another language, which are asked beside the Python ones; deny from either wins."""

    @property
    def engine(self) -> str:
        """Name and version of what evaluates them."""
        ...

    @property
    def content(self) -> Json:
        """All that their answers depend on: the rule set's hash covers it."""
        ...

    def judge(self, context: RuleContext) -> Sequence[Match]:
        """What they say of a call. What raises, denies."""
        ...


@runtime_checkable
class RestorablePolicies(Policies, Protocol):
    """Policies that are values: a run that is pinned to them goes on when its worker's class has others."""

    @property
    def by_value(self) -> Json:
        """What they are made of again, beside the contracts of the tools."""
        ...

    def restored(self, by_value: Json, tools: Mapping[str, ToolContract]) -> Policies:
        """The policies that ``by_value`` was taken of.

        Raises:
            Exception: they can't be made of it any more.
        """
        ...


@dataclass(frozen=True)
class RuleSet:
    """The rules of an agent: named, versioned, and known by the hash of what they are."""

    name: str
    version: str
    rules: tuple[Rule, ...]
    policies: tuple[Policies, ...] = ()
    tools: tuple[Contracted, ...] | None = None
    """For a set that several agents share: all tools that its rules may name. ``None`` is the tools of the
    agent that has it."""

    def __post_init__(self) -> None:
        """Refuse what isn't a set of rules, and of a shared one what names nothing.

        Raises:
            ConfigurationError: something in it is of another type, or a rule names a tool, a scope or an
                argument that none of ``tools`` is or has.
        """
        check_rule_set(self, Rule)
        if self.tools is not None:
            check_rule_names(self.rules, self.contracts, f"rule set {self.name}")

    @property
    def contracts(self) -> tuple[ToolContract, ...]:
        """Those of ``tools``."""
        return tuple(tool.contract for tool in self.tools or ())

    def named(self, source_of: SourceOf) -> RuleSetName:
        """The set's name with the hash of all that its answers depend on.

        Every field of every rule, what their conditions are made of (``rule_content``), other engines'
        policies. Not the set's name and version.

        Args:
            source_of: Answers the source of a condition's code.
        """
        content = {
            "rules": [_content(rule, source_of) for rule in self.rules],
            "policies": [[policies.engine, policies.content] for policies in self.policies],
        }
        return RuleSetName(
            name=self.name,
            version=self.version,
            hash=sha256_of(content),
            engines=tuple(policies.engine for policies in self.policies),
        )


def _content(rule: Rule, source_of: SourceOf) -> Json:
    return {
        "name": rule.name,
        "verdict": rule.verdict,
        "reason": rule.reason,
        "when": condition_content(rule.when, source_of),
        "tools": list(rule.tools),
        "effects": list(rule.effects),
        "scopes": list(rule.scopes),
        "tenants": list(rule.tenants),
        "tiers": list(rule.holds_in),
        "quorum": rule.quorum.model_dump(mode="json") if rule.quorum else None,
        "is_guard": rule.is_guard,
    }


def _targets(
    tools: Sequence[ToolRef] | None,
    effects: Sequence[Effect] | None,
    scopes: Sequence[str] | None,
    tenants: Sequence[str] | None,
) -> tuple[tuple[str, ...], tuple[Effect, ...], tuple[str, ...], tuple[str, ...]]:
    """What a rule is for, in the order of its fields."""
    return (
        tool_names(tools),
        named("effects", effects),
        named("scopes", scopes),
        named("tenants", tenants),
    )


def allow(
    name: str,
    *,
    reason: str,
    when: Condition = always,
    tools: Sequence[ToolRef] | None = None,
    effects: Sequence[Effect] | None = None,
    scopes: Sequence[str] | None = None,
    tenants: Sequence[str] | None = None,
    tiers: Sequence[Tier] | None = None,
) -> Rule:
    """A rule that lets matching calls run. Name ``production`` in ``tiers`` to let them run there.

    ``tools`` are names, or the tools themselves. What is left out restricts nothing; an empty list is
    refused.
    """
    return Rule(
        name,
        "allow",
        reason,
        when,
        *_targets(tools, effects, scopes, tenants),
        None if tiers is None else named("tiers", tiers),
    )


def deny(
    name: str,
    *,
    reason: str,
    when: Condition = always,
    tools: Sequence[ToolRef] | None = None,
    effects: Sequence[Effect] | None = None,
    scopes: Sequence[str] | None = None,
    tenants: Sequence[str] | None = None,
) -> Rule:
    """A rule that stops matching calls, in every tier, whatever other rules say."""
    return Rule(
        name,
        "deny",
        reason,
        when,
        *_targets(tools, effects, scopes, tenants),
        EVERY_TIER,
    )


def ask(
    name: str,
    *,
    reason: str,
    when: Condition = always,
    tools: Sequence[ToolRef] | None = None,
    effects: Sequence[Effect] | None = None,
    scopes: Sequence[str] | None = None,
    tenants: Sequence[str] | None = None,
    tiers: Sequence[Tier] | None = None,
    people: int = 1,
    roles: Sequence[str] = (),
    next_roles: Sequence[str] = (),
) -> Rule:
    """A rule that lets matching calls run if ``people`` different people with one of ``roles`` agree.

    Once half the time until the deadline is over, people with one of ``next_roles`` may as well.
    """
    return Rule(
        name,
        "ask",
        reason,
        when,
        *_targets(tools, effects, scopes, tenants),
        None if tiers is None else named("tiers", tiers),
        quorum_of(name, people, roles, next_roles),
    )


def guard(
    name: str,
    *,
    reason: str,
    when: Condition,
    tools: Sequence[ToolRef] | None = None,
    effects: Sequence[Effect] | None = None,
    people: int = 1,
    roles: Sequence[str] = (),
    past_tools: Sequence[ToolRef] | None = None,
) -> Rule:
    """A rule that asks people, in every tier, of what another rule would let through.

    ``ask`` lets a call run if people agree; a guard by itself lets none. It is for all that write, or for the
    ``tools`` or ``effects`` that it names, reads included. Tools whose earlier calls its condition looks at,
    and doesn't name in its code, are ``past_tools``.
    """
    watches = WRITES if tools is None and effects is None else named("effects", effects)
    return Rule(
        name,
        "ask",
        reason,
        when,
        tool_names(tools),
        watches,
        tiers=EVERY_TIER,
        quorum=quorum_of(name, people, roles),
        is_guard=True,
        past_tools=tool_names(past_tools),
    )
