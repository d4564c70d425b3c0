from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from agentflow.contracts.rules import Quorum
from agentflow.core.ready_rules import no_outflow_of, sinks_from_trusted_input
from agentflow.core.rule_context import RuleContext
from agentflow.core.rules import Rule, RuleSet, allow

RULE = Rule("small", "allow", "small amounts")


def hash_of(*rules: Rule, **sources: str) -> str:
    return RuleSet("refunds", "1", rules, sources=sources).hash()


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"verdict": "deny"},
        {"reason": "other"},
        {"tools": ("refund",)},
        {"effects": ("write",)},
        {"scopes": ("money",)},
        {"tenants": ("acme",)},
        {"tiers": ("production",)},
        {"quorum": Quorum(people=2)},
        {"is_guard": True},
        {"when": lambda context: True},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_field_of_a_rule_is_in_the_hash(change: dict[str, Any]) -> None:
    assert hash_of(replace(RULE, **change)) != hash_of(RULE)


def test_the_same_rules_have_the_same_hash_whatever_they_are_called() -> None:
    assert RuleSet("a", "1", (RULE,)).hash() == RuleSet("b", "2", (RULE,)).hash()


def test_the_source_of_conditions_is_in_the_hash() -> None:
    assert hash_of(RULE, rules="one") != hash_of(RULE, rules="two")


def under(limit: object) -> Callable[[RuleContext], bool]:
    def condition(context: RuleContext) -> bool:
        return context.amount("amount") < Decimal(str(limit))

    return condition


def at_most(context: RuleContext, limit: int = 5) -> bool:
    return context.amount("amount") <= limit


def at_most_six(context: RuleContext, limit: int = 6) -> bool:
    return context.amount("amount") <= limit


@dataclass(frozen=True)
class Under:
    limit: Decimal

    def __call__(self, context: RuleContext) -> bool:
        return context.amount("amount") < self.limit


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (under(5), under(6)),
        (under(Decimal(5)), under(5)),
        (under({"a": 1}), under({"a": 2})),
        (under((1, 2)), under((2, 1))),
        (partial(at_most, limit=5), partial(at_most, limit=6)),
        (Under(Decimal(5)), Under(Decimal(6))),
        (under(under(5)), under(under(6))),
    ],
)
def test_what_a_condition_was_made_with_is_in_the_hash(one: Any, other: Any) -> None:
    assert hash_of(replace(RULE, when=one)) != hash_of(replace(RULE, when=other))


def test_conditions_made_alike_have_one_hash_in_each_process() -> None:
    assert hash_of(replace(RULE, when=under({"x", "y"}))) == hash_of(replace(RULE, when=under({"y", "x"})))
    # An object's address is another one in each process.
    assert hash_of(replace(RULE, when=under(object()))) == hash_of(replace(RULE, when=under(object())))


def test_without_its_source_a_conditions_code_is_in_the_hash() -> None:
    one, other = (eval(f"lambda context: {answer}") for answer in (True, False))
    assert hash_of(replace(RULE, when=one)) != hash_of(replace(RULE, when=other))
    source = {__name__: "the source"}
    assert hash_of(replace(RULE, when=one), **source) == hash_of(replace(RULE, when=other), **source)


def test_the_modules_of_a_set_are_those_that_its_conditions_are_made_of() -> None:
    rules = (RULE, allow("x", reason="", when=under(5)), sinks_from_trusted_input(unless=under(6)))
    assert RuleSet("refunds", "1", rules).modules() == {
        "agentflow.core.rules",
        "agentflow.core.ready_rules",
        __name__,
    }
    assert no_outflow_of("card").when.__module__ == "agentflow.core.ready_rules"


def test_a_set_is_named_by_version_and_hash() -> None:
    named = RuleSet("refunds", "3", (RULE,)).named()
    assert named.id == f"refunds@3+{named.hash[:12]}"
