import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum
from functools import partial
from types import CodeType
from typing import Any

import pytest

from agentflow.contracts.rules import Quorum
from agentflow.core.rule_context import RuleContext
from agentflow.core.rules import Rule, RuleSet
from agentflow.workflow.sources import code_source

RULE = Rule("small", "allow", "small amounts")


def hash_of(*rules: Rule, source: Callable[[CodeType], str | None] = code_source) -> str:
    return RuleSet("refunds", "1", rules).named(source).hash


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
        {"is_guard": True},
        {"when": lambda context: True},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_field_of_a_rule_is_in_the_hash(change: dict[str, Any]) -> None:
    assert hash_of(replace(RULE, **change)) != hash_of(RULE)


def test_the_quorum_of_a_rule_is_in_the_hash() -> None:
    asking = replace(RULE, verdict="ask")
    assert hash_of(replace(asking, quorum=Quorum(people=2))) != hash_of(asking)


def test_the_same_rules_have_the_same_hash_whatever_they_are_called() -> None:
    one, other = RuleSet("a", "1", (RULE,)), RuleSet("b", "2", (RULE,))
    assert one.named(code_source).hash == other.named(code_source).hash


def test_the_source_of_conditions_is_in_the_hash() -> None:
    assert hash_of(RULE, source=lambda code: "one") != hash_of(RULE, source=lambda code: "two")


LIMIT = Decimal(5)


def helper(context: RuleContext) -> bool:
    return context.amount("amount") < LIMIT


def uses_a_helper(context: RuleContext) -> bool:
    return any(helper(context) for _ in range(1))


def calls_itself(context: RuleContext) -> bool:
    return calls_itself(context)


def test_what_a_condition_calls_and_reads_is_in_the_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = replace(RULE, when=uses_a_helper)
    before = hash_of(rule)
    monkeypatch.setitem(globals(), "LIMIT", Decimal(6))
    assert hash_of(rule) != before
    monkeypatch.undo()
    assert hash_of(rule) == before
    monkeypatch.setitem(globals(), "helper", under(5))
    assert hash_of(rule) != before


def test_a_condition_that_calls_itself_has_a_hash() -> None:
    assert hash_of(replace(RULE, when=calls_itself))


def test_what_else_is_in_a_conditions_module_is_not_in_the_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    before = hash_of(replace(RULE, when=at_most))
    monkeypatch.setitem(globals(), "LIMIT", Decimal(6))
    assert hash_of(replace(RULE, when=at_most)) == before


def test_a_condition_that_is_no_python_function_is_refused() -> None:
    with pytest.raises(TypeError, match="no Python function"):
        hash_of(replace(RULE, when=len))  # type: ignore[arg-type]


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


class Size(Enum):
    SMALL = "5"
    LARGE = "6"


@dataclass(frozen=True)
class Limits:
    limit: int

    def holds(self, context: RuleContext) -> bool:
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
        (Limits(5).holds, Limits(6).holds),
        (under(Limits(5)), under(Limits(6))),
        (under(re.compile("a")), under(re.compile("b"))),
        (under(re.compile("a")), under(re.compile("a", re.IGNORECASE))),
        (under(Size.SMALL), under(Size.LARGE)),
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


def test_a_set_is_named_by_version_and_hash() -> None:
    named = RuleSet("refunds", "3", (RULE,)).named(code_source)
    assert named.id == f"refunds@3+{named.hash[:12]}"
