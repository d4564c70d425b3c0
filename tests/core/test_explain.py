from typing import Any

from hypothesis import given

from agentflow.contracts.rules import Tier
from agentflow.contracts.tools import Effect
from agentflow.core.policy import decide, explain
from agentflow.core.rule_context import RuleContext
from agentflow.core.rules import Rule, allow, ask, deny
from tests.core.samples import rule_context
from tests.core.strategies import odd_objects
from tests.core.test_policy import effects, odd_conditions, rule_sets, tiers


def is_too_much(context: RuleContext) -> bool:
    """More than a person would pay.

    And some more words.
    """
    return context.amount("amount") > 100


def test_an_explanation_says_of_each_rule_what_became_of_it() -> None:
    rules = [
        deny("too_much", reason="too much", when=is_too_much),
        allow("all", reason="go on", tools=["refund"]),
        ask("mail", reason="mail", tools=["mail"]),
        ask("careful", reason="careful", tiers=["production"]),
        allow("other", reason="other", tenants=["globex"]),
    ]
    explained = explain(rules, rule_context({"amount": 5}))
    assert explained.decision == decide(rules, rule_context({"amount": 5}))
    assert str(explained).splitlines() == [
        "allow, by all: go on",
        "  - deny too_much: not so: More than a person would pay.",
        "  + allow all: go on",
        "  - ask mail: it is for mail",
        "  - ask careful: it holds in production, not in dev",
        "  - allow other: it is for tenant globex",
    ]


def test_an_explanation_names_the_rule_that_failed_and_why() -> None:
    broken = allow("broken", reason="", when=is_too_much)
    explained = explain([broken, deny("never", reason="never")], rule_context())
    assert str(explained).splitlines() == [
        "deny, by error: rule broken raised ValueError: refund has no argument 'amount'; there are: ",
        "  ! allow broken: raised ValueError: refund has no argument 'amount'; there are: ",
        "  + deny never: never",
    ]


def test_an_explanation_says_whose_consent_is_needed() -> None:
    rules = [ask("finance", reason="much", people=2, roles=("cfo", "finance"))]
    assert (
        str(explain(rules, rule_context())).splitlines()[1] == "needs 2 people with the role cfo or finance"
    )


@given(odd_objects, rule_sets(odd_conditions), tiers, effects)
def test_explaining_never_raises_and_decides_the_same(
    arguments: dict[str, Any], rules: list[Rule], tier: Tier, effect: Effect
) -> None:
    context = rule_context(arguments, tier=tier, effect=effect)
    explained = explain(rules, context)
    assert explained.decision == decide(rules, context)
    assert str(explained)
