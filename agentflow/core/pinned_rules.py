"""Rules as a run is pinned to them, and the rules that a worker makes of that.

A rule is pinned by value, with a condition of the library's by its fields and one that is code by the hash of
all that its answers depend on. A worker that has code of that hash decides as the run was pinned; one that
has not must stop the run where the rule would be asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from agentflow.contracts.pinned import PinnedCondition, PinnedPolicies, PinnedRule, PinnedRules
from agentflow.contracts.tools import ToolContract
from agentflow.contracts.wire import Sha256, sha256_of
from agentflow.core.policy import concerns
from agentflow.core.ready_conditions import ReadyCondition, is_ready, ready_condition, values_of
from agentflow.core.rule_content import SourceOf, condition_content
from agentflow.core.rule_context import RuleContext
from agentflow.core.rules import Condition, Policies, RestorablePolicies, Rule, RuleSet, always


class RuleGoneError(Exception):
    """A rule was asked whose code this worker doesn't have. ``RulesAsPinned`` looks before it asks."""


@dataclass(frozen=True)
class GoneCondition:
    """Stands for a condition whose code this worker doesn't have."""

    code: str

    def __call__(self, context: RuleContext) -> bool:
        """Refuse to answer, which denies."""
        raise RuleGoneError(f"this worker has no code {self.code[:12]}")


@dataclass(frozen=True)
class RulesAsPinned:
    """The rules of one run, as its worker can ask them."""

    rules: tuple[Rule, ...]
    policies: tuple[Policies, ...]
    of_code: frozenset[str]
    """Names of the rules whose conditions are code."""
    gone: frozenset[str]
    """Names of those whose code the worker doesn't have."""
    engines_gone: bool = False
    """Whether the policies of other engines are others now."""

    def needs_code(self, context: RuleContext) -> bool:
        """Whether what the rules say of a call depends on code, which a deploy may change."""
        return bool(self.policies) or self.engines_gone or self._concerned(context, self.of_code)

    def missing(self, context: RuleContext) -> str | None:
        """What a decision on a call would need and the worker doesn't have."""
        if self.engines_gone:
            return "the policies of its rule set"
        found = [rule.name for rule in self.rules if rule.name in self.gone and concerns(rule, context)]
        return f"the condition of {' and '.join(found)}" if found else None

    def _concerned(self, context: RuleContext, names: frozenset[str]) -> bool:
        return any(rule.name in names and concerns(rule, context) for rule in self.rules)


def rules_at_hand(rules: RuleSet) -> RulesAsPinned:
    """The rules of a run that was pinned to those of its worker's class."""
    of_code = frozenset(rule.name for rule in rules.rules if _code_of(rule) is not None)
    return RulesAsPinned(rules.rules, rules.policies, of_code, frozenset())


def pin_rules(rules: RuleSet, source_of: SourceOf) -> PinnedRules:
    """A rule set by value.

    Args:
        rules: The set.
        source_of: Answers the source of a condition's code.
    """
    return PinnedRules(
        rules=tuple(_pinned(rule, source_of) for rule in rules.rules),
        policies=tuple(_pinned_policies(policies) for policies in rules.policies),
    )


def rules_as_pinned(
    pinned: PinnedRules, present: RuleSet, tools: Mapping[str, ToolContract], source_of: SourceOf
) -> RulesAsPinned:
    """The rules that a run was pinned to, as far as a worker has their code.

    Args:
        pinned: As the run was.
        present: The set of the worker's class: its conditions' code is looked up by hash.
        tools: The contracts that the run is pinned to.
        source_of: Answers the source of a condition's code.
    """
    code = _Code.of(present.rules, source_of)
    rules = tuple(_rule(rule, code) for rule in pinned.rules)
    policies = [_policies(one, present.policies, tools) for one in pinned.policies]
    return RulesAsPinned(
        rules=rules,
        policies=tuple(one for one in policies if one is not None),
        of_code=frozenset(rule.name for rule in pinned.rules if rule.when.is_code),
        gone=frozenset(rule.name for rule in rules if isinstance(_innermost(rule.when), GoneCondition)),
        engines_gone=None in policies,
    )


def code_hash(condition: Condition, source_of: SourceOf) -> Sha256:
    """Names a condition by all that its answers depend on."""
    return sha256_of(condition_content(condition, source_of))


_SAME = tuple(PinnedRule.model_fields.keys() - {"when", "tiers"})
"""Fields that a rule and a pinned one have alike."""


def _pinned(rule: Rule, source_of: SourceOf) -> PinnedRule:
    same: dict[str, Any] = {name: getattr(rule, name) for name in _SAME}
    return PinnedRule(when=_pinned_condition(rule.when, source_of), tiers=rule.holds_in, **same)


def _pinned_condition(condition: Condition, source_of: SourceOf) -> PinnedCondition:
    if condition is always:
        return PinnedCondition()
    if is_ready(condition):
        unless = _unless(condition)
        return PinnedCondition(
            ready=condition.ready,
            values=values_of(condition),
            unless=_pinned_condition(unless, source_of) if unless is not None else None,
        )
    return PinnedCondition(code=code_hash(condition, source_of))


@dataclass(frozen=True)
class _Code:
    """The conditions of a worker's rules that are code, by their hash and then by their rule's name."""

    by_hash: Mapping[Sha256, Mapping[str, Condition]]

    @classmethod
    def of(cls, rules: Sequence[Rule], source_of: SourceOf) -> "_Code":
        found: dict[Sha256, dict[str, Condition]] = {}
        for rule in rules:
            if (condition := _code_of(rule)) is not None:
                found.setdefault(code_hash(condition, source_of), {})[rule.name] = condition
        return cls(found)

    def find(self, code: Sha256, rule: str) -> Condition | None:
        """The condition of a hash, from a rule of any name.

        Of several, only the rule's own: they differ in something that the hash doesn't cover.
        """
        named = self.by_hash.get(code, {})
        return named.get(rule) or (next(iter(named.values())) if len(named) == 1 else None)


def _rule(pinned: PinnedRule, code: _Code) -> Rule:
    same: dict[str, Any] = {name: getattr(pinned, name) for name in _SAME}
    return Rule(when=_condition(pinned.when, pinned.name, code), tiers=pinned.tiers, **same)


def _condition(pinned: PinnedCondition, rule: str, code: _Code) -> Condition:
    if pinned.code is not None:
        return code.find(pinned.code, rule) or GoneCondition(pinned.code)
    if pinned.ready is None:
        return always
    unless = _condition(pinned.unless, rule, code) if pinned.unless is not None else None
    try:
        return ready_condition(pinned.ready, pinned.values, unless)
    except (KeyError, TypeError):
        return GoneCondition(pinned.ready)


def _unless(condition: ReadyCondition) -> Condition | None:
    """The condition under which a ready one lets a call be."""
    return cast(Condition | None, getattr(condition, "unless", None))


def _innermost(condition: Condition) -> Condition:
    """The last condition of a chain, each of which lets a call be where the next one holds."""
    while is_ready(condition) and (unless := _unless(condition)) is not None:
        condition = unless
    return condition


def _code_of(rule: Rule) -> Condition | None:
    """The part of a rule's condition that is code."""
    condition = _innermost(rule.when)
    return None if condition is always or is_ready(condition) else condition


def _digest(policies: Policies) -> Sha256:
    return sha256_of([policies.engine, policies.content])


def _pinned_policies(policies: Policies) -> PinnedPolicies:
    by_value = policies.by_value if isinstance(policies, RestorablePolicies) else None
    return PinnedPolicies(digest=_digest(policies), by_value=by_value)


def _policies(
    pinned: PinnedPolicies, present: Sequence[Policies], tools: Mapping[str, ToolContract]
) -> Policies | None:
    """Policies that answer as the pinned ones do, if the worker has them or can make them again."""
    for policies in present:
        if _digest(policies) == pinned.digest:
            return policies
    made = (_restored(pinned, policies, tools) for policies in present)
    return next((policies for policies in made if policies is not None), None)


def _restored(
    pinned: PinnedPolicies, present: Policies, tools: Mapping[str, ToolContract]
) -> Policies | None:
    if pinned.by_value is None or not isinstance(present, RestorablePolicies):
        return None
    try:
        restored = present.restored(pinned.by_value, tools)
    except Exception:
        # Of a later version of the engine, for one: the run stops where they would be asked.
        return None
    return restored if _digest(restored) == pinned.digest else None
