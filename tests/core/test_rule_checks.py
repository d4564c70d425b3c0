"""A rule or a rule set with a slip in it is refused when it is made, and not found out by what it lets through."""

from collections.abc import Callable
from typing import Any

import pytest

from agentflow.contracts.rules import Quorum
from agentflow.core.rules import Rule, RuleSet, allow, ask, deny, guard
from agentflow.errors import ConfigurationError


async def later(context: object) -> bool:
    return True


def parts(context: object) -> Any:
    yield True


class Later:
    async def __call__(self, context: object) -> bool:
        return True


ANY: Any = None
SLIPS: dict[str, tuple[Callable[[], Any], str]] = {
    "tools as a text": (lambda: deny("d", reason="", tools="wire"), "a list of names"),
    "scopes as a text": (lambda: deny("d", reason="", scopes="money"), "a list of names"),
    "tenants as a text": (lambda: deny("d", reason="", tenants="acme"), "a list of names"),
    "roles as a text": (lambda: ask("a", reason="", roles="finance"), "a list of names"),
    "tools that are none": (lambda: deny("d", reason="", tools=(None,)), "neither"),  # pyright: ignore
    "an empty tool": (lambda: deny("d", reason="", tools=("",)), "tuple of names"),
    "a misspelt effect": (lambda: guard("g", reason="", when=bool, effects=("wirte",)), "when="),  # pyright: ignore
    "another effect": (lambda: deny("d", reason="", effects=("writes",)), "there are read"),  # pyright: ignore
    "a misspelt tier": (lambda: ask("a", reason="", tiers=("prod",)), "there are dev"),  # pyright: ignore
    "a tier in capitals": (lambda: allow("a", reason="", tiers=("Production",)), "there are dev"),  # pyright: ignore
    "another verdict": (lambda: Rule("r", "Deny", ""), "no verdict"),  # pyright: ignore
    "an async condition": (lambda: deny("d", reason="", when=later), "True or False"),  # pyright: ignore
    "a condition that is called later": (lambda: deny("d", reason="", when=Later()), "True or False"),  # pyright: ignore
    "a generator": (lambda: deny("d", reason="", when=parts), "True or False"),  # pyright: ignore
    "a condition of nothing": (lambda: deny("d", reason="", when=lambda: True), "a RuleContext"),  # pyright: ignore
    "a condition of two": (lambda: deny("d", reason="", when=lambda a, b: True), "a RuleContext"),  # pyright: ignore
    "no tiers": (lambda: Rule("r", "allow", "", tiers=()), "tiers is empty"),
    "a set for names": (lambda: RuleSet("s", "1", (), tools=["pay"]), "a tuple of tools"),  # pyright: ignore
    "no condition": (lambda: deny("d", reason="", when=True), "True or False"),  # pyright: ignore
    "no name": (lambda: deny("", reason=""), "name is a text"),
    "no reason": (lambda: deny("d", reason=None), "reason is a text"),  # pyright: ignore
    "an allow with a quorum": (lambda: Rule("r", "allow", "", quorum=Quorum()), "belongs to ask"),
    "a quorum of nobody": (
        lambda: Rule("r", "ask", "", quorum=Quorum.model_construct(people=0, roles=(), next_roles=())),
        "no Quorum",
    ),
    "an empty role": (lambda: ask("a", reason="", roles=("",)), "roles.0"),
    "a guard by text": (lambda: Rule("r", "ask", "", is_guard="yes"), "is_guard"),  # pyright: ignore
    "a set that is a list": (lambda: RuleSet("s", "1", [deny("d", reason="")]), "a tuple"),  # pyright: ignore
    "a set of other things": (lambda: RuleSet("s", "1", ("deny",)), "a tuple"),  # pyright: ignore
    "a set with a bare rule": (lambda: RuleSet("s", "1", deny("d", reason="")), "a tuple"),  # pyright: ignore
    "a set without a name": (lambda: RuleSet("", "1", ()), "name"),
    "an engine that is none": (lambda: RuleSet("s", "1", (), ("permit;",)), "cedar_policies"),  # pyright: ignore
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_is_refused_when_the_rule_is_made(slip: str) -> None:
    make, why = SLIPS[slip]
    with pytest.raises(ConfigurationError, match=why):
        make()


OPTIONS = ["when_", "Tools", "effect", "tier", "role", "Asks", "scope"]


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_that_no_rule_has_is_refused(option: str) -> None:
    make: Any = deny
    with pytest.raises(TypeError, match=option):
        make("d", reason="", **{option: ("x",)})
