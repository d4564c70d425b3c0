"""Rules as a run is pinned to them, and what a worker makes of that."""

import json
from dataclasses import fields
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel

from agentflow import RuleContext, RuleSet, allow, ask, deny, tool
from agentflow.contracts.budget import Budget
from agentflow.contracts.loops import LoopLimits
from agentflow.contracts.model import ModelOptions
from agentflow.contracts.pinned import PinnedAgent, PinnedRules
from agentflow.contracts.tools import RetryOptions, ToolContract, ToolOptions
from agentflow.core.pinned_rules import pin_rules, rules_as_pinned, rules_at_hand
from agentflow.core.ready_conditions import PassesOn, UntrustedSinks, UnverifiedRequester
from agentflow.core.ready_rules import no_outflow_of, sinks_from_trusted_input, verified_requester
from agentflow.core.rules import Rule
from agentflow.workflow.definition import definition_of
from agentflow.workflow.sources import code_source
from tests.workflow import agents, deployed_agents, importing_agents
from tests.workflow.harness import ALL_AGENTS


@tool(effect="irreversible", sinks=("to",))
async def pay(to: str, amount: Decimal) -> str:
    """Pay somebody."""
    return ""


@tool(effect="read")
async def look(at: str) -> str:
    """Look at something."""
    return ""


def is_small(context: RuleContext) -> bool:
    return context.amount("amount") < 5


def is_smaller(context: RuleContext) -> bool:
    return context.amount("amount") < 4


RULES = RuleSet(
    "kinds",
    "1",
    (
        allow("always", reason="it may", tools=("pay",), tiers=("dev",)),
        allow("small", reason="it is small", tools=("pay",), when=is_small),
        ask("two", reason="two agree", tools=("pay",), people=2, roles=("boss",), next_roles=("cfo",)),
        deny("none", reason="not those", effects=("irreversible",), tenants=("acme",)),
        sinks_from_trusted_input(),
        sinks_from_trusted_input(tools=("pay",), unless=is_small),
        verified_requester(otherwise="deny"),
        no_outflow_of("look", tools=("pay",)),
    ),
    tools=(pay, look),
)


def sent(rules: RuleSet) -> PinnedRules:
    """As they come out of history."""
    return PinnedRules.model_validate(json.loads(pin_rules(rules, code_source).model_dump_json()))


def told(rule: Rule) -> dict[str, Any]:
    found = {field.name: getattr(rule, field.name) for field in fields(rule)}
    # Which tiers it holds in is what counts, and whose outputs a condition reads is the condition's.
    return {**found, "tiers": rule.holds_in, "past_tools": ()}


def test_rules_come_back_as_they_were_pinned() -> None:
    asked = rules_as_pinned(sent(RULES), RULES, {}, code_source)
    assert [told(rule) for rule in asked.rules] == [told(rule) for rule in RULES.rules]
    assert asked.gone == frozenset()
    assert asked.of_code == rules_at_hand(RULES).of_code == {"small", "sinks_from_trusted_input"}


def test_only_code_that_is_gone_is_missing() -> None:
    asked = rules_as_pinned(sent(RULES), RuleSet("none", "2", ()), {}, code_source)
    assert asked.gone == {"small", "sinks_from_trusted_input"}
    assert [type(rule.when) for rule in asked.rules[4:5]] == [UntrustedSinks]
    assert [type(rule.when) for rule in asked.rules[6:]] == [UnverifiedRequester, PassesOn]


class OtherwiseTrusted(UntrustedSinks):
    """Code, though its base is one of the library's."""

    def __call__(self, context: RuleContext) -> bool:
        return False


@pytest.mark.parametrize(
    "condition",
    [OtherwiseTrusted(), UntrustedSinks(OtherwiseTrusted()), UntrustedSinks(UntrustedSinks(is_small))],
)
def test_what_is_code_within_a_condition_is_code_before_and_after_it_was_pinned(condition: Any) -> None:
    rules = RuleSet("one", "1", (deny("it", reason="a test", when=condition),))
    assert rules_at_hand(rules).of_code == {"it"}
    asked = rules_as_pinned(sent(rules), rules, {}, code_source)
    assert (asked.of_code, asked.gone) == ({"it"}, frozenset())
    assert asked.rules[0].when == condition


class Limit:
    def __init__(self, most: int) -> None:
        self.most = most


def over(limit: Limit) -> Any:
    return lambda context: context.amount("amount") > limit.most


def test_of_conditions_with_one_hash_a_rule_has_its_own_or_none() -> None:
    much, very_much = over(Limit(5)), over(Limit(500))
    rules = RuleSet("two", "1", (deny("a", reason="r", when=much), deny("b", reason="r", when=very_much)))
    asked = rules_as_pinned(sent(rules), rules, {}, code_source)
    assert [rule.when for rule in asked.rules] == [much, very_much]
    renamed = RuleSet("two", "1", (deny("c", reason="r", when=much), deny("d", reason="r", when=very_much)))
    assert rules_as_pinned(sent(rules), renamed, {}, code_source).gone == {"a", "b"}


def test_code_is_found_by_what_it_is_and_not_by_its_rule() -> None:
    moved = RuleSet(
        "moved", "2", (deny("another", reason="it is small", tools=(pay,), when=is_small),), tools=(pay,)
    )
    other = RuleSet("other", "2", (allow("small", reason="", tools=(pay,), when=is_smaller),), tools=(pay,))
    assert rules_as_pinned(sent(RULES), moved, {}, code_source).gone == frozenset()
    assert "small" in rules_as_pinned(sent(RULES), other, {}, code_source).gone


def pinned_agents() -> list[type]:
    found = [*ALL_AGENTS, *vars(deployed_agents).values(), *vars(importing_agents).values()]
    return [kind for kind in found if isinstance(kind, type) and definition_of(kind) is not None]


@pytest.mark.parametrize("agent", pinned_agents(), ids=lambda agent: agent.__name__)
def test_an_agent_comes_back_as_it_was_pinned(agent: type) -> None:
    definition = definition_of(agent)
    assert definition is not None
    read = PinnedAgent.read(json.loads(json.dumps(definition.pinned)))
    assert read.as_sent() == definition.pinned
    assert (read.tools, read.budget, read.model_options) == (
        definition.tools,
        definition.budget,
        definition.model_options,
    )


DEFAULTS: dict[type[BaseModel], dict[str, Any]] = {
    Budget: {
        "cost_usd": Decimal("1.00"),
        "input_tokens": None,
        "output_tokens": None,
        "model_calls": 40,
        "tool_calls": 100,
        "wall_time": timedelta(days=7),
    },
    LoopLimits: {"same_call": 8, "failures_in_a_row": 6, "turns_without_progress": 12},
    ModelOptions: {
        "max_output_tokens": 2048,
        "temperature": 0.0,
        "start_to_close_timeout": timedelta(minutes=2),
        "schedule_to_close_timeout": None,
        "heartbeat_timeout": timedelta(seconds=20),
        "retry": RetryOptions(),
        "max_tool_calls": 100,
    },
    RetryOptions: {
        "max_attempts": 4,
        "initial_interval": timedelta(seconds=1),
        "backoff": 2.0,
        "max_interval": timedelta(seconds=30),
    },
    ToolOptions: {
        "start_to_close_timeout": timedelta(seconds=30),
        "schedule_to_close_timeout": None,
        "heartbeat_timeout": timedelta(seconds=20),
        "retry": RetryOptions(),
        "max_effect_delay": timedelta(seconds=30),
        "key_lifetime": timedelta(hours=24),
        "cost_usd": Decimal(0),
        "probe_cost_usd": None,
        "task_queue": None,
        "max_argument_bytes": 256 * 1024,
        "max_result_bytes": 256 * 1024,
        "max_told_bytes": 64 * 1024,
    },
    ToolContract: {
        "scopes": (),
        "sinks": None,
        "trusted_output": False,
        "recovery": "ask",
        "local": False,
        "options": ToolOptions(),
        "sentence": None,
        "source": None,
        "effect_is_claimed": False,
    },
}
"""A run that was pinned by an older version has these where its manifest says nothing. Once a version is
released, a default may only change together with what the manifests of older versions are read as."""


@pytest.mark.parametrize("kind", DEFAULTS, ids=lambda kind: kind.__name__)
def test_what_a_manifest_leaves_out_means_what_it_meant(kind: type[BaseModel]) -> None:
    found = {
        name: field.get_default(call_default_factory=True)
        for name, field in kind.model_fields.items()
        if not field.is_required()
    }
    assert found == DEFAULTS[kind]


def test_no_agent_of_the_tests_is_left_out() -> None:
    assert agents.Banker in pinned_agents()
