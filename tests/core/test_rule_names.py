"""A rule that names what isn't there would never match; it is refused when its agent or its set is made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow import RuleContext, RuleSet, ToolContext, allow, ask, deny, tool
from agentflow.core.policy import decide
from agentflow.core.ready_rules import no_outflow_of, sinks_from_trusted_input, verified_requester
from agentflow.core.rule_names import check_rule_names
from agentflow.core.rules import Rule, guard
from agentflow.errors import ConfigurationError
from tests.core.samples import rule_context


@tool(effect="irreversible", scopes=("money:send",))
async def pay(account: str, amount: str, context: ToolContext) -> str:
    """Pay."""
    return account


@tool(effect="write")
async def note(text: str) -> str:
    """Note."""
    return text


@tool(effect="read")
async def fetch(url: str) -> str:
    """Fetch."""
    return url


TOOLS = (pay, note, fetch)
CONTRACTS = [one.contract for one in TOOLS]
MISSPELT = "amuont"


class Limits:
    argument = "amount"
    slip = "amuont"


def over(argument: str, context: RuleContext) -> bool:
    return context.amount(argument) > 5


def made_with(argument: str) -> Callable[[RuleContext], bool]:
    return lambda context: context.arguments.get(argument) == "eve"


def by_helper(context: RuleContext) -> bool:
    return destination(context) == "eve"


def destination(context: RuleContext) -> object:
    return context.arguments["acount"]


def holds(context: RuleContext, name: str) -> bool:
    return context.arguments[name] == "eve" if name in context.arguments else False


def really(context: RuleContext, wanted: str) -> bool:
    return holds(context, wanted)


def in_a_comprehension(context: RuleContext) -> bool:
    return any(context.label(name) == "model" and context.is_trusted("acount") for name in ("account",))


def by_another_name(context: RuleContext) -> bool:
    given = context.arguments
    return given.get("acount") == "eve"


def by_its_method(context: RuleContext) -> bool:
    given = context.arguments.get
    return given("acount") == "eve"


def of_each(context: RuleContext) -> bool:
    for name in ("account", "acount"):  # noqa: SIM110 - as people write it
        if context.arguments.get(name) == "eve":
            return True
    return False


def by_default(context: RuleContext, name: str = "acount") -> bool:
    return context.arguments.get(name) == "eve"


def is_eve(given: Mapping[str, Any], name: str) -> bool:
    return given.get(name) == "eve"


def opposite(of: Callable[[RuleContext], bool]) -> Callable[[RuleContext], bool]:
    return lambda context: not of(context)


@dataclass(frozen=True, slots=True)
class IsEve:
    argument: str

    def __call__(self, context: RuleContext) -> bool:
        return context.arguments.get(self.argument) == "eve"


class Either:
    def __init__(self, *parts: Callable[[RuleContext], bool]) -> None:
        self.parts = parts

    def __call__(self, context: RuleContext) -> bool:
        return any(part(context) for part in self.parts)

    def holds(self, call: RuleContext) -> bool:
        return self._holds(given=call.arguments)

    def _holds(self, given: Mapping[str, Any]) -> bool:
        return given.get("acount") == "eve"


SLIPS: dict[str, tuple[Callable[[], Rule], str]] = {
    "a deny of no tool": (lambda: deny("d", reason="", tools=("pya",)), "'pay' is"),
    "an allow of no tool": (lambda: allow("a", reason="", tools=("close_account",)), "RuleSet"),
    "an ask of two, one of them none": (lambda: ask("a", reason="", tools=("pay", "refund")), "'refund'"),
    "a guard of no tool": (lambda: guard("g", reason="", when=bool_of, tools=("Pay",)), "'Pay'"),
    "ready sinks": (lambda: sinks_from_trusted_input(tools=("pays",)), "'pays'"),
    "a ready requester": (lambda: verified_requester(tools=("pays",), otherwise="deny"), "'pays'"),
    "an outflow of no tool": (lambda: no_outflow_of("fecth"), "looks at the tool 'fecth'"),
    "an outflow to no tool": (lambda: no_outflow_of("fetch", tools=("pays",)), "'pays'"),
    "no scope": (lambda: deny("d", reason="", scopes=("money:sent",)), "'money:send' is"),
    "an effect that the tool has not": (
        lambda: deny("d", reason="", tools=("fetch",), effects=("write",)),
        "never match",
    ),
    "a scope that the tool needs not": (
        lambda: deny("d", reason="", tools=("note",), scopes=("money:send",)),
        "never match",
    ),
    "an amount": (lambda: ask("a", reason="", when=lambda call: call.amount("amuont") > 5), "'amount' is"),
    "an index": (lambda: deny("d", reason="", when=lambda c: c.arguments["acount"] == "e"), "'account' is"),
    "a look-up": (lambda: deny("d", reason="", when=lambda c: c.arguments.get("acount") == "e"), "acount"),
    "a label": (lambda: deny("d", reason="", when=lambda c: c.label("acount") == "model"), "acount"),
    "a trust": (lambda: deny("d", reason="", when=lambda c: not c.is_trusted("acount")), "acount"),
    "a constant": (lambda: deny("d", reason="", when=lambda c: c.amount(MISSPELT) > 5), "amuont"),
    "a constant of a class": (
        lambda: deny("d", reason="", when=lambda c: c.amount(Limits.slip) > 5),
        "amuont",
    ),
    "a closure": (lambda: deny("d", reason="", when=made_with("acount")), "acount"),
    "a helper": (lambda: deny("d", reason="", when=by_helper), "acount"),
    "a comprehension": (lambda: deny("d", reason="", when=in_a_comprehension), "acount"),
    "a helper that is given the name": (
        lambda: deny("d", reason="", when=lambda c: holds(c, "acount")),
        "acount",
    ),
    "a helper of a helper": (lambda: deny("d", reason="", when=lambda c: really(c, "acount")), "acount"),
    "a look whether it is there": (
        lambda: deny("d", reason="", when=lambda c: "iban" in c.arguments),
        "iban",
    ),
    "a partial": (lambda: ask("a", reason="", when=partial(over, MISSPELT)), "amuont"),
    "another tool's argument": (
        lambda: deny("d", reason="", tools=("note",), when=lambda c: c.arguments.get("amount") == "1"),
        "which note has not",
    ),
    "a name for the arguments": (lambda: deny("d", reason="", when=by_another_name), "acount"),
    "a name for a method": (lambda: deny("d", reason="", when=by_its_method), "acount"),
    "one of several": (lambda: deny("d", reason="", when=of_each), "acount"),
    "a default": (lambda: deny("d", reason="", when=by_default), "acount"),
    "a helper that is given the arguments": (
        lambda: deny("d", reason="", when=lambda c: is_eve(c.arguments, name="acount")),
        "acount",
    ),
    "an object": (lambda: deny("d", reason="", when=IsEve("acount")), "acount"),
    "an object in an object": (
        lambda: deny("d", reason="", when=Either(IsEve("text"), IsEve("acount"))),
        "acount",
    ),
    "a method": (lambda: deny("d", reason="", when=Either().holds), "acount"),
    "an opposite": (lambda: deny("d", reason="", when=opposite(IsEve("acount"))), "acount"),
    "an exception of a ready rule": (
        lambda: sinks_from_trusted_input(unless=lambda c: c.arguments.get("acount") != "eve"),
        "acount",
    ),
    "a tool that is compared": (
        lambda: deny("d", reason="", when=lambda c: c.tool.name in ("pya", "note")),
        "'pay' is",
    ),
    "a tier that is compared": (
        lambda: deny("d", reason="", when=lambda c: c.tier == "prod"),
        "the tier 'prod'",
    ),
    "an effect that is compared": (
        lambda: deny("d", reason="", when=lambda c: c.tool.effect != "reed"),
        "the effect 'reed'",
    ),
    "an output of no tool": (
        lambda: deny("d", reason="", when=lambda c: not c.outputs("fecth")),
        "'fetch' is",
    ),
    "a count of no tool": (lambda: deny("d", reason="", when=lambda c: c.calls("pya") > 2), "'pay' is"),
}


def bool_of(context: RuleContext) -> bool:
    return True


@pytest.mark.parametrize("slip", SLIPS)
def test_a_rule_that_names_what_is_not_there_is_refused(slip: str) -> None:
    make, why = SLIPS[slip]
    with pytest.raises(ConfigurationError, match=why):
        check_rule_names([make()], CONTRACTS, "Agent")


@pytest.mark.parametrize("slip", SLIPS)
def test_a_shared_set_is_held_against_its_tools_when_it_is_made(slip: str) -> None:
    make, why = SLIPS[slip]
    with pytest.raises(ConfigurationError, match=why):
        RuleSet("shared", "1", (make(),), tools=TOOLS)


SOUND: dict[str, Callable[[], Rule]] = {
    "a tool": lambda: deny("d", reason="", tools=(pay, "note")),
    "a scope": lambda: deny("d", reason="", scopes=("money:send",)),
    "all": lambda: deny("d", reason="", effects=("irreversible",)),
    "a guard of a read": lambda: guard("g", reason="", when=bool_of, tools=(fetch,)),
    "an outflow through a read": lambda: no_outflow_of(note, tools=(fetch,)),
    "an amount": lambda: ask("a", reason="", when=lambda call: call.amount("amount") > 5),
    "a constant of a class": lambda: ask("a", reason="", when=lambda c: c.amount(Limits.argument) > 5),
    "an argument of one of two": lambda: deny("d", reason="", tools=("pay", "note"), when=made_with("text")),
    "a name beside the context": lambda: deny("d", reason="", when=lambda c: {"x": 1}["x"] == 2),
    "a look whether": lambda: deny("d", reason="", when=lambda c: "text" in c.arguments),
    "a helper with a name": lambda: deny("d", reason="", when=lambda c: holds(c, "amount")),
    "a partial": lambda: ask("a", reason="", when=partial(over, "amount")),
    "a task's field": lambda: deny("d", reason="", when=lambda c: c.task_input["iban"] == "x"),
    "a name for the arguments": lambda: deny("d", reason="", when=lambda c: is_eve(c.arguments, "account")),
    "objects": lambda: deny("d", reason="", when=opposite(Either(IsEve("text"), IsEve("account")))),
    "a tier": lambda: deny("d", reason="", when=lambda c: c.tier != "dev" and c.tool.name == "pay"),
    "a past call": lambda: deny("d", reason="", when=lambda c: c.calls(fetch) > 2 or bool(c.outputs("pay"))),
    "types": lambda: deny("d", reason="", tools=(pay,), when=lambda c: c.typed(pay).account == "e"),
}


@pytest.mark.parametrize("sound", SOUND)
def test_a_rule_whose_names_are_there_is_taken(sound: str) -> None:
    check_rule_names([SOUND[sound]()], CONTRACTS, "Agent")


def test_a_name_that_is_put_together_is_held_against_the_tool_at_the_call() -> None:
    rules = [
        allow("a", reason="", when=lambda context: context.amount("amu" + context.tool.name[:0] + "ont") > 5)
    ]
    context = rule_context({"amount": "3"})
    assert decide(rules, context).verdict == "deny"


@given(st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=20))
def test_no_name_but_a_tools_own_is_taken(name: str) -> None:
    rule = deny("d", reason="", tools=(name,))
    if name in ("pay", "note", "fetch"):
        check_rule_names([rule], CONTRACTS, "Agent")
        return
    with pytest.raises(ConfigurationError):
        check_rule_names([rule], CONTRACTS, "Agent")


@pytest.mark.parametrize("make", [allow, deny, ask, partial(guard, when=bool_of)])
def test_a_rule_is_for_the_tool_that_it_is_given(make: Any) -> None:
    assert make("r", reason="", tools=(pay, "note")).tools == ("pay", "note")
    assert make("r", reason="", tools=[pay]).tools == ("pay",)
    for alone in (pay, "pay"):
        with pytest.raises(ConfigurationError, match="takes a list"):
            make("r", reason="", tools=alone)


@pytest.mark.parametrize("option", ["tools", "effects", "scopes", "tenants", "tiers"])
def test_an_empty_list_is_not_taken_for_all(option: str) -> None:
    with pytest.raises(ConfigurationError, match="empty"):
        allow("a", reason="", **{option: ()})  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("ask_of", ["label", "is_trusted", "amount"])
def test_an_argument_that_a_tool_has_not_denies_the_call(ask_of: str) -> None:
    def condition(context: RuleContext) -> bool:
        return bool(getattr(context, ask_of)("am" + "uont"))

    decision = decide(
        [deny("d", reason="", when=condition), allow("a", reason="")], rule_context({"amount": 1})
    )
    assert (decision.verdict, decision.rule) == ("deny", "error")
    assert "no argument 'amuont'" in decision.reason


@pytest.mark.parametrize(
    "condition",
    [
        lambda c: c.arguments.get("am" + "uont") == "1",
        lambda c: ("am" + "uont") in c.arguments,
        lambda c: c.arguments["am" + "uont"] == "1",
    ],
)
def test_the_arguments_answer_for_none_that_no_tool_has(condition: Any) -> None:
    context = replace(rule_context({"amount": 1}), known_arguments={"amount", "text"})
    decision = decide([deny("d", reason="", when=condition), allow("a", reason="")], context)
    assert (decision.verdict, decision.rule) == ("deny", "error")
    assert context.arguments.get("text") is None


def test_outputs_and_calls_take_the_tool_itself() -> None:
    context = rule_context()
    assert context.outputs(pay) == ()
    assert context.calls(pay) == 0
    with pytest.raises(ConfigurationError, match="neither"):
        context.outputs(None)  # pyright: ignore[reportArgumentType]


def test_a_set_takes_tools_and_not_their_names() -> None:
    with pytest.raises(ConfigurationError, match="tool itself"):
        RuleSet("shared", "1", (), tools=("pay",))  # pyright: ignore[reportArgumentType]
