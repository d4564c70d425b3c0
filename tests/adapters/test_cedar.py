from dataclasses import replace
from importlib.metadata import version
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from agentflow import tool
from agentflow.adapters.cedar import cedar_policies
from agentflow.adapters.cedar_schema import arguments_as_cedar, schema_of
from agentflow.contracts.budget import Spend
from agentflow.contracts.rules import Tier
from agentflow.core.pinned_rules import pin_rules, rules_as_pinned
from agentflow.core.policy import decide, explain
from agentflow.core.provenance import Provenance
from agentflow.core.rule_context import RuleContext
from agentflow.core.rules import EVERY_TIER, Rule, RuleSet, allow, deny
from agentflow.errors import ConfigurationError
from agentflow.workflow.sources import code_source
from tests.core.strategies import odd_objects


class Line(BaseModel):
    model_config = ConfigDict(extra="forbid")
    title: str
    count: int = 1


@tool(effect="write", scopes=("money:send",), sinks=("to",))
async def pay(
    to: str,
    amount: Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]{2}$")],
    times: int = 1,
    factor: float = 1.0,
    urgent: bool | None = None,
    lines: list[Line] | None = None,
    odd: int | str = 0,
) -> str:
    """Pay an amount."""
    return ""


@tool(effect="read")
async def look(account: str) -> str:
    """Look at an account."""
    return ""


TOOLS = (pay, look)
PERMIT = """
@id("small") @reason("small payments")
permit (principal, action == Action::"pay", resource)
when { context.amounts has amount && context.amounts.amount.lessThan(decimal("100.00")) };

@id("large") @ask("large payments need people") @people("2") @roles("finance, cfo")
permit (principal, action == Action::"pay", resource)
when { context.amounts has amount && context.amounts.amount.greaterThanOrEqual(decimal("100.00")) };

@id("looks") permit (principal, action == Action::"look", resource);

@id("not_eve") @reason("not to eve")
forbid (principal, action == Action::"pay", resource) when { context.arguments.to == "eve" };
"""


def context_of(arguments: dict[str, Any], *, kind: Any = pay, tier: Tier = "dev", **more: Any) -> RuleContext:
    return RuleContext(
        agent="Payer",
        tool=kind.contract,
        arguments=arguments,
        tier=tier,
        tenant="acme",
        customer_tier="standard",
        requested_by="ada",
        task_input="pay bob",
        model="m",
        model_proven=True,
        spend=Spend(),
        provenance=Provenance().plus("task", "pay bob"),
        **more,
    )


def decided(
    arguments: dict[str, Any], policies: str = PERMIT, rules: tuple[Rule, ...] = (), **more: Any
) -> Any:
    return decide(rules, context_of(arguments, **more), [cedar_policies(policies, TOOLS)])


def test_a_permit_allows_and_names_itself() -> None:
    decision = decided({"to": "bob", "amount": "99.99"})
    assert (decision.verdict, decision.rule, decision.reason) == ("allow", "small", "small payments")


def test_a_permit_that_asks_asks_people() -> None:
    decision = decided({"to": "bob", "amount": "100.00"})
    assert (decision.verdict, decision.rule) == ("ask", "large")
    assert (decision.quorum.people, decision.quorum.roles) == (2, ("cfo", "finance"))


def test_a_forbid_wins_over_every_permit_of_either_engine() -> None:
    for_all = (allow("all", reason="", tiers=EVERY_TIER),)
    decision = decided({"to": "eve", "amount": "1.00"}, rules=for_all)
    assert (decision.verdict, decision.rule, decision.reason) == ("deny", "not_eve", "not to eve")


def test_a_denial_of_python_wins_over_a_permit() -> None:
    decision = decided({"to": "bob", "amount": "1.00"}, rules=(deny("closed", reason="we are closed"),))
    assert (decision.verdict, decision.rule) == ("deny", "closed")


def test_what_nothing_permits_is_denied_reads_included() -> None:
    only_pay = 'permit (principal, action == Action::"pay", resource);'
    decision = decided({"account": "x"}, only_pay, kind=look)
    assert decision.verdict == "deny"
    assert "no Cedar policy permits look" in decision.reason
    assert decided({"account": "x"}, kind=look).verdict == "allow"


FAILING = """
permit (principal, action == Action::"pay", resource);
forbid (principal, action == Action::"pay", resource) when { context.arguments.times + 9223372036854775807 > 0 };
"""


def test_a_forbid_that_fails_denies_where_cedar_alone_would_skip_it() -> None:
    decision = decided(
        {"to": "bob", "amount": "1.00", "times": 1}, FAILING.replace("context.arguments.times +", "1 +")
    )
    assert (decision.verdict, decision.rule) == ("deny", "error")
    assert "overflow" in decision.reason


@pytest.mark.parametrize(
    ("policies", "why"),
    [
        ("permit (principal", "can't be parsed"),
        (
            'permit (principal, action == Action::"pay", resource) when { context.arguments.iban == "x" };',
            "iban",
        ),
        ('permit (principal, action == Action::"fly", resource);', "fly"),
        (
            'permit (principal, action == Action::"pay", resource) when { context.arguments.urgent };',
            "urgent",
        ),
        ('@ask("x") forbid (principal, action, resource);', "@ask belongs to a permit"),
        ('@people("2") permit (principal, action, resource);', "@people and @roles belong to @ask"),
        ('@ask("x") @people("many") permit (principal, action, resource);', "@people is no number"),
        ("permit (principal == ?principal, action, resource);", "templates"),
    ],
)
def test_policies_that_do_not_fit_are_refused_when_they_are_loaded(policies: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=f"(?s)Cedar.*{why}|{why}"):
        cedar_policies(policies, TOOLS)


def test_in_production_a_permit_must_name_it() -> None:
    arguments = {"to": "bob", "amount": "1.00"}
    decision = decided(arguments, tier="production")
    assert (decision.verdict, decision.rule) == ("deny", "small")
    assert 'must name Tier::"production"' in decision.reason
    named = PERMIT.replace(
        "when { context.amounts has amount &&",
        'when { [Tier::"production"].contains(context.tier) && context.amounts has amount &&',
    )
    assert decided(arguments, named, tier="production").verdict == "allow"
    assert decided({"account": "x"}, tier="production", kind=look).verdict == "allow"


def test_policies_see_sinks_that_nothing_trusted_has() -> None:
    watch = PERMIT + (
        'forbid (principal, action == Action::"pay", resource) when { context.untrusted_sinks.contains("to") };'
    )
    assert decided({"to": "bob", "amount": "1.00"}, watch).verdict == "allow"
    assert decided({"to": "mallory", "amount": "1.00"}, watch).verdict == "deny"


def test_policies_see_effect_scopes_tenant_and_spend() -> None:
    watch = """permit (principal == Agent::"Payer", action, resource) when {
        resource.effect == "write" && resource.scopes.contains("money:send") &&
        context.tenant == Tenant::"acme" && context.spent_usd.lessThan(decimal("0.50")) };"""
    assert decided({"to": "bob", "amount": "1.00"}, watch).verdict == "allow"
    spent = replace(context_of({"to": "bob", "amount": "1.00"}), spend=Spend(cost_usd="0.50"))  # type: ignore[arg-type]
    assert decide((), spent, [cedar_policies(watch, TOOLS)]).verdict == "deny"


@pytest.mark.parametrize("amount", [10**30, 0.12345, float("nan"), 1e300])
def test_a_number_that_cedar_does_not_have_is_denied(amount: float) -> None:
    decision = decided({"to": "bob", "amount": "1.00", "factor": amount})
    assert decision.verdict == "deny"


def test_the_schema_has_each_argument_that_cedar_can_hold() -> None:
    schema = schema_of({"pay": pay.contract})
    context = schema[""]["actions"]["pay"]["appliesTo"]["context"]["attributes"]
    arguments = context["arguments"]["attributes"]
    assert set(arguments) == {"to", "amount", "times", "factor", "urgent", "lines"}
    assert arguments["to"] == {"type": "String", "required": True}
    assert arguments["urgent"] == {"type": "Boolean", "required": False}
    assert arguments["lines"]["element"]["attributes"]["count"] == {"type": "Long", "required": False}
    assert set(context["amounts"]["attributes"]) == {"to", "amount", "factor"}


def test_arguments_come_in_cedars_types() -> None:
    given = {"to": "bob", "times": 2, "factor": 1.5, "urgent": None, "lines": [{"title": "a"}], "odd": "x"}
    assert arguments_as_cedar(pay.contract.input_schema, given) == {
        "to": "bob",
        "times": 2,
        "factor": {"__extn": {"fn": "decimal", "arg": "1.5000"}},
        "lines": [{"title": "a"}],
    }


@given(odd_objects, st.sampled_from(EVERY_TIER))
def test_whatever_the_arguments_are_nothing_raises_and_only_permits_allow(
    arguments: dict[str, Any], tier: Tier
) -> None:
    decision = decided({"to": "bob", **arguments}, tier=tier)
    assert decision.verdict == "deny"


def test_engine_and_policies_are_in_the_rule_sets_hash() -> None:
    one = RuleSet("r", "1", (), (cedar_policies(PERMIT, TOOLS),))
    other = RuleSet("r", "1", (), (cedar_policies(PERMIT.replace("100.00", "200.00"), TOOLS),))
    assert one.named(code_source).hash != other.named(code_source).hash
    assert one.named(code_source).engines == (f"cedar {version('cedarpy')}",)


def test_a_runs_own_policies_are_made_again_though_they_are_for_other_agents_too() -> None:
    dearer = PERMIT.replace("100.00", "200.00")
    pinned = pin_rules(RuleSet("r", "1", (), (cedar_policies(PERMIT, TOOLS),)), code_source)
    present = RuleSet("r", "2", (), (cedar_policies(dearer, TOOLS),))
    # The run's agent has one of the tools.
    found = rules_as_pinned(pinned, present, {"pay": pay.contract}, code_source)
    call = context_of({"to": "bob", "amount": "150.00"})
    assert not found.engines_gone
    assert decide((), call, present.policies).verdict == "allow"
    assert decide(found.rules, call, found.policies).verdict == "ask"


def test_an_explanation_names_the_policies() -> None:
    explained = explain((), context_of({"to": "eve", "amount": "1.00"}), [cedar_policies(PERMIT, TOOLS)])
    assert str(explained) == "deny, by not_eve: not to eve\n  + deny not_eve: not to eve"


def test_a_type_that_holds_itself_is_left_out_where_it_gets_deep() -> None:
    schema = pay.contract.model_dump() | {
        "input_schema": {
            "properties": {"to": {"$ref": "#/$defs/Node"}},
            "additionalProperties": False,
            "$defs": {
                "Node": {
                    "type": "object",
                    "properties": {"name": {"type": "string"}, "next": {"$ref": "#/$defs/Node"}},
                    "additionalProperties": False,
                }
            },
        }
    }
    contract = type(pay.contract).model_validate(schema)
    assert cedar_policies("permit (principal, action, resource);", [SimpleNamespace(contract=contract)])


ASKED = '@ask("why") permit (principal, action, resource);'
SLIPS = {
    "a capital letter": ('@Ask("why")', "@Ask means nothing"),
    "a plural": ('@asks("why")', "@asks means nothing"),
    "tiers": ('@tiers("production")', "@tiers means nothing"),
    "a prefix": ('@ask_("why")', "@ask_ means nothing"),
    "one more": ('@ask("why") @next_roles("cfo")', "@next_roles means nothing"),
    "a role in the singular": ('@ask("why") @role("cfo")', "@role means nothing"),
    "no reason to ask": ('@ask("")', "@ask says nothing"),
    "no value": ("@ask", "@ask says nothing"),
    "no number of people": ('@ask("why") @people', "@people says nothing"),
    "nobody": ('@ask("why") @people("0")', "no number"),
    "too many": ('@ask("why") @people("21")', "no number"),
    "a number of another script": ('@ask("why") @people("\uff12")', "no number"),
    "a number with a line": ('@ask("why") @people("1_0")', "no number"),
    "no roles": ('@ask("why") @roles(",")', "empty role"),
    "an empty role": ('@ask("why") @roles("finance,")', "empty role"),
    "blank roles": ('@ask("why") @roles(" ")', "@roles says nothing"),
    "a role twice": ('@ask("why") @roles("cfo, cfo")', "one twice"),
    "twice": ('@ask("why") @ask("no")', "can't be parsed"),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_an_annotation_with_a_slip_in_it_is_refused(slip: str) -> None:
    annotation, why = SLIPS[slip]
    with pytest.raises(ConfigurationError, match=why):
        cedar_policies(f"{annotation} permit (principal, action, resource);", TOOLS)
    assert cedar_policies(ASKED, TOOLS)


@given(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True))
def test_an_annotation_means_something_or_is_refused(name: str) -> None:
    text = f'@{name}("1") permit (principal, action, resource);'
    if name in ("id", "reason", "ask"):
        assert cedar_policies(text, TOOLS)
    else:
        with pytest.raises(ConfigurationError):
            cedar_policies(text, TOOLS)


NAMELESS = {
    'forbid (principal, action, resource == Tool::"pya");': "Tool::",
    'forbid (principal, action, resource) when { resource == Tool::"pya" };': "Tool::",
    'forbid (principal, action, resource) when { [Tool::"pya"].contains(resource) };': "Tool::",
    'forbid (principal, action, resource) when { context.tier == Tier::"prod" };': "Tier::",
    'permit (principal, action, resource) when { [Tier::"Production"].contains(context.tier) };': "Tier::",
    "forbid (principal, action, resource) when { context.arguments has acount };": "the argument 'acount'",
    "forbid (principal, action, resource) when { context.amounts has amuont };": "the argument 'amuont'",
    'forbid (principal, action, resource) when { context.untrusted_sinks.contains("acount") };': "'acount'",
    'forbid (principal, action, resource) when { context.untrusted_sinks.containsAny(["acount"]) };': "acount",
    'forbid (principal, action, resource) when { resource.scopes.contains("money:sned") };': "money:sned",
    'forbid (principal, action, resource) when { resource.effect == "wirte" };': "wirte",
    "forbid (principal, action, resource) when { context has argumnts };": "the attribute 'argumnts'",
    "forbid (principal, action, resource) when { resource has efect };": "the attribute 'efect'",
    'forbid (principal, action == Action::"pay", resource == Tool::"look");': "one tool in each call",
    'forbid (principal, action, resource) when { "Write" == resource.effect };': "Write",
    'forbid (principal, action, resource) when { ["wirte"].contains(resource.effect) };': "wirte",
    'forbid (principal, action, resource) when { true } unless { resource.effect == "raed" };': "raed",
}


@pytest.mark.parametrize("policy", NAMELESS)
def test_a_policy_that_names_what_is_not_there_is_refused_when_it_is_loaded(policy: str) -> None:
    with pytest.raises(ConfigurationError, match=NAMELESS[policy]):
        cedar_policies(policy, TOOLS)
