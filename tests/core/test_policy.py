import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.worker._workflow import _InterruptDeadlockError  # pyright: ignore[reportPrivateUsage]

from agentflow.contracts.rules import Tier, Verdict
from agentflow.contracts.tools import Effect
from agentflow.core.idempotency import arguments_hash
from agentflow.core.policy import UNHASHABLE, decide
from agentflow.core.provenance import PastCall, Provenance
from agentflow.core.rule_context import RuleContext, to_amount
from agentflow.core.rules import Match, Rule, allow, ask, deny, guard
from tests.core.samples import nested, rule_context
from tests.core.strategies import any_text, json_objects, odd_objects, odd_values

TIERS: tuple[Tier, ...] = ("dev", "staging", "production")
tiers = st.sampled_from(TIERS)
effects: st.SearchStrategy[Effect] = st.sampled_from(["read", "write", "irreversible"])


def answering(value: Any) -> Callable[[RuleContext], Any]:
    return lambda context: value


def raising(error: BaseException) -> Callable[[RuleContext], bool]:
    def condition(context: RuleContext) -> bool:
        raise error

    return condition


NO_EXCEPTIONS: list[BaseException] = [
    KeyboardInterrupt(),
    SystemExit(0),
    GeneratorExit(),
    asyncio.CancelledError(),
    BaseException("bare"),
]


@st.composite
def rule_sets(draw: st.DrawFn, conditions: st.SearchStrategy[Any]) -> list[Rule]:
    rules: list[Rule] = []
    for number in range(draw(st.integers(0, 5))):
        tools = draw(st.sampled_from([None, ("refund",), ("mail",), ("mail", "refund")]))
        named = draw(st.lists(tiers, unique=True, min_size=1))
        when, name = draw(conditions), f"rule-{number}"
        match draw(st.sampled_from(["allow", "deny", "ask"])):
            case "allow":
                rules.append(allow(name, reason=name, when=when, tools=tools, tiers=named))
            case "deny":
                rules.append(deny(name, reason=name, when=when, tools=tools))
            case _:
                people = draw(st.integers(1, 3))
                rules.append(ask(name, reason=name, when=when, tools=tools, tiers=named, people=people))
    return rules


yes_or_no = st.booleans().map(answering)


def matching(rules: list[Rule], context: RuleContext) -> list[Rule]:
    """The rules that hold for a call of ``refund``, read off their fields."""
    return [
        rule
        for rule in rules
        if (not rule.tools or "refund" in rule.tools) and context.tier in rule.holds_in and rule.when(context)
    ]


@given(rule_sets(yes_or_no), tiers, effects, st.booleans())
def test_deny_beats_ask_beats_allow(rules: list[Rule], tier: Tier, effect: Effect, proven: bool) -> None:
    context = rule_context({"amount": 5}, tier=tier, effect=effect, proven=proven)
    verdicts = {rule.verdict for rule in matching(rules, context)}
    decision = decide(rules, context)
    if "deny" in verdicts:
        expected = "deny"
    elif "ask" in verdicts:
        expected = "ask"
    elif "allow" in verdicts:
        expected = "allow" if proven or effect == "read" else "ask"
    else:
        expected = "allow" if effect == "read" else "deny"
    assert decision.verdict == expected
    assert (decision.quorum is not None) == (expected == "ask")


@given(st.data(), rule_sets(yes_or_no), tiers, effects)
def test_the_order_of_rules_changes_no_verdict(
    data: st.DataObject, rules: list[Rule], tier: Tier, effect: Effect
) -> None:
    context = rule_context(tier=tier, effect=effect)
    shuffled = data.draw(st.permutations(rules))
    assert decide(shuffled, context).verdict == decide(rules, context).verdict


@given(rule_sets(yes_or_no), json_objects)
def test_a_decision_is_bound_to_exactly_the_arguments(rules: list[Rule], arguments: dict[str, Any]) -> None:
    decision = decide(rules, rule_context(arguments))
    assert decision.arguments_hash == arguments_hash("refund", arguments)


def test_of_several_asking_rules_the_most_people_are_needed() -> None:
    rules = [
        ask("one", reason="", people=1),
        ask("three", reason="", people=3),
        ask("two", reason="", people=2),
    ]
    decision = decide(rules, rule_context())
    assert decision.rule == "one, three, two"
    assert decision.quorum is not None
    assert decision.quorum.people == 3


def test_without_a_rule_a_write_is_denied_and_a_read_allowed() -> None:
    assert decide([], rule_context(effect="write")).verdict == "deny"
    assert decide([], rule_context(effect="irreversible")).verdict == "deny"
    assert decide([], rule_context(effect="read")).verdict == "allow"


@pytest.mark.parametrize("make", [allow, ask])
def test_production_must_be_named(make: Callable[..., Rule]) -> None:
    context = rule_context(tier="production")
    assert decide([make("unnamed", reason="")], context).verdict == "deny"
    named = make("named", reason="", tiers=("production",))
    assert decide([named], context).verdict == named.verdict
    assert decide([named], rule_context(tier="dev")).verdict == "deny"


@pytest.mark.parametrize("tier", TIERS)
def test_a_denial_holds_in_every_tier(tier: Tier) -> None:
    rules = [allow("all", reason="", tiers=TIERS), deny("never", reason="")]
    assert decide(rules, rule_context(tier=tier)).rule == "never"


def test_an_unproven_model_turns_allowed_writes_into_questions() -> None:
    rules = [allow("small", reason="small")]
    asked = decide(rules, rule_context(proven=False))
    assert (asked.verdict, asked.rule) == ("ask", "unproven_model")
    assert asked.quorum is not None
    assert decide(rules, rule_context(proven=False, effect="read")).verdict == "allow"
    assert decide(rules, rule_context(proven=True)).verdict == "allow"


@given(
    rule_sets(yes_or_no),
    st.integers(0, 5),
    st.sampled_from([ValueError("x"), KeyError(), ZeroDivisionError(), *NO_EXCEPTIONS]),
)
def test_a_rule_that_raises_denies_whatever_the_others_say(
    rules: list[Rule], place: int, error: BaseException
) -> None:
    broken = allow("broken", reason="", when=raising(error))
    decision = decide([*rules[:place], broken, *rules[place:]], rule_context())
    assert (decision.verdict, decision.rule) == ("deny", "error")
    assert type(error).__name__ in decision.reason


@pytest.mark.parametrize("value", [None, 1, 0, "yes", "", [], Decimal(1), ...])
@pytest.mark.parametrize("make", [allow, deny, ask])
def test_a_rule_that_answers_neither_true_nor_false_denies(make: Callable[..., Rule], value: object) -> None:
    decision = decide([make("vague", reason="", when=answering(value))], rule_context(effect="read"))
    assert (decision.verdict, decision.rule) == ("deny", "error")


async def test_an_async_rule_denies_since_nobody_awaits_it() -> None:
    made: list[Any] = []

    async def later() -> bool:
        return True

    def condition(context: RuleContext) -> Any:
        made.append(later())
        return made[0]

    decision = decide([allow("later", reason="", when=condition)], rule_context())
    assert (decision.verdict, decision.rule) == ("deny", "error")
    made[0].close()


class HasNoTruth:
    def __bool__(self) -> bool:
        raise SystemExit


class Odd:
    """Can't say its name once it is made."""

    is_made = False

    @property
    def __name__(self) -> str:
        if self.is_made:
            raise SystemExit
        return "odd"

    def __call__(self, context: RuleContext) -> bool:
        return False


@pytest.mark.parametrize(
    "when",
    [answering(HasNoTruth()), lambda context: endless(), lambda context: (part for part in ())],
    ids=["no truth", "too deep", "a generator"],
)
def test_what_a_condition_answers_is_never_asked_for_its_truth(when: Any) -> None:
    decision = decide([allow("odd", reason="", when=when)], rule_context())
    assert (decision.verdict, decision.rule) == ("deny", "error")


def endless() -> bool:
    return endless()


def test_a_condition_whose_name_can_not_be_told_is_explained_all_the_same() -> None:
    odd = Odd()
    rules = [deny("odd", reason="", when=odd)]
    odd.is_made = True
    assert decide(rules, rule_context()).rule == "default"


def test_temporals_own_interrupt_of_a_task_that_took_too_long_ends_its_thread() -> None:
    rules = [allow("endless", reason="", when=raising(_InterruptDeadlockError()))]
    with pytest.raises(_InterruptDeadlockError):
        decide(rules, rule_context())


@pytest.mark.parametrize("error", NO_EXCEPTIONS, ids=repr)
def test_an_engine_that_raises_what_is_no_exception_denies(error: BaseException) -> None:
    class Engine:
        content = None

        @property
        def engine(self) -> str:
            raise error

        def judge(self, context: RuleContext) -> Sequence[Match]:
            raise error

    decision = decide([allow("all", reason="")], rule_context(), [Engine()])
    assert (decision.verdict, decision.rule) == ("deny", "error")
    assert type(error).__name__ in decision.reason


def test_a_rule_for_another_tool_is_not_asked() -> None:
    rules = [deny("mail", reason="", tools=["mail"], when=raising(ValueError())), allow("all", reason="")]
    assert decide(rules, rule_context(tool="refund")).verdict == "allow"


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise ValueError("not even that")


@pytest.mark.parametrize(
    "error", [UnprintableError(), ValueError("\ud800 is no amount")], ids=["unprintable", "surrogate"]
)
def test_an_error_that_can_not_be_told_denies_all_the_same(error: Exception) -> None:
    decision = decide([allow("broken", reason="", when=raising(error))], rule_context())
    assert (decision.verdict, decision.rule) == ("deny", "error")
    assert type(error).__name__ in decision.reason
    assert decision.model_dump_json()  # no payload can carry a lone surrogate


exceptions = (
    any_text.map(ValueError)
    | any_text.map(KeyError)
    | st.builds(UnprintableError)
    | st.builds(RecursionError)
    | st.builds(ExceptionGroup, any_text, st.just([ValueError()]))
    | st.sampled_from(NO_EXCEPTIONS)
    | st.builds(BaseExceptionGroup, any_text, st.just([KeyboardInterrupt()]))
)
odd_conditions = exceptions.map(raising) | odd_values.map(answering)


@given(odd_objects, rule_sets(odd_conditions), tiers, effects)
def test_deciding_never_raises_and_what_fails_is_denied(
    arguments: dict[str, Any], rules: list[Rule], tier: Tier, effect: Effect
) -> None:
    decision = decide(rules, rule_context(arguments, tier=tier, effect=effect))
    assert decision.model_dump_json()
    asked = [rule for rule in rules if not rule.tools or "refund" in rule.tools]
    if decision.arguments_hash == UNHASHABLE:
        assert decision.verdict == "deny"
    elif asked and not isinstance(decided(asked[0], arguments), bool):
        assert (decision.verdict, decision.rule) == ("deny", "error")


def decided(rule: Rule, arguments: dict[str, Any]) -> object:
    try:
        return rule.when(rule_context(arguments))
    except BaseException:
        return None


@pytest.mark.parametrize(
    "arguments",
    [
        {"amount": float("nan")},
        {"amount": float("inf")},
        {"amount": 10**5000},
        {"amount": nested(5_000)},
        {"amount": object()},
        {1: "one", "two": 2},
    ],
    ids=["nan", "inf", "huge", "deep", "object", "mixed keys"],
)
def test_arguments_without_a_canonical_form_are_denied(arguments: dict[str, Any]) -> None:
    decision = decide([allow("all", reason="")], rule_context(arguments))
    assert (decision.verdict, decision.rule, decision.arguments_hash) == ("deny", "error", UNHASHABLE)


@given(odd_values)
def test_an_amount_is_finite_and_not_negative_or_refused(value: Any) -> None:
    try:
        amount = rule_context({"amount": value}).amount("amount")
    except ValueError:
        return
    assert amount.is_finite()
    assert amount >= 0


@pytest.mark.parametrize("value", [True, None, [5], {"usd": 5}, "", "five", "-1", -0.01, "NaN", "Infinity"])
def test_what_is_no_amount_makes_the_rule_deny(value: object) -> None:
    rules = [allow("small", reason="", when=lambda context: context.amount("amount") < 100)]
    assert decide(rules, rule_context({"amount": value})).verdict == "deny"
    assert decide(rules, rule_context({})).verdict == "deny"


@pytest.mark.parametrize(("text", "amount"), [("12.50", "12.50"), ("0", "0"), ("1e2", "100")])
def test_an_amount_is_exact(text: str, amount: str) -> None:
    assert to_amount(text) == Decimal(amount)


def test_an_amount_given_as_a_float_is_what_it_reads_as() -> None:
    assert rule_context({"amount": 0.1}).amount("amount") == Decimal("0.1")


def test_a_rule_sees_the_recorded_outputs_of_a_tool_in_order() -> None:
    past = (
        PastCall("c1", "order", {}, {"paid": 1}),
        PastCall("c2", "mail", {}, "sent"),
        PastCall("c3", "order", {}, {"paid": 2}),
    )
    assert rule_context(past_calls=past).outputs("order") == ({"paid": 1}, {"paid": 2})


def test_several_ask_rules_hold_together() -> None:
    rules = [
        ask("many", reason="two", people=2),
        ask("finance", reason="finance", roles=("finance", "cfo")),
        ask("board", reason="board", roles=("cfo",)),
    ]
    decision = decide(rules, rule_context(effect="write"))
    assert decision.quorum is not None
    assert (decision.quorum.people, decision.quorum.roles) == (2, ("cfo",))


def test_the_next_roles_of_several_ask_rules_are_those_that_all_of_them_accept_then() -> None:
    rules = [
        ask("finance", reason="f", roles=("finance", "lead"), next_roles=("cfo", "ceo")),
        ask("lead", reason="l", roles=("lead",), next_roles=("ceo",)),
    ]
    decision = decide(rules, rule_context(effect="write"))
    assert decision.quorum is not None
    assert (decision.quorum.roles, decision.quorum.next_roles) == (("lead",), ("ceo",))
    strict = decide([*rules, ask("board", reason="b", roles=("lead",))], rule_context(effect="write"))
    assert strict.quorum is not None
    assert strict.quorum.next_roles == ()


def test_ask_rules_that_no_one_person_can_satisfy_deny() -> None:
    rules = [ask("finance", reason="f", roles=("finance",)), ask("legal", reason="l", roles=("legal",))]
    assert decide(rules, rule_context(effect="write")).verdict == "deny"


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        (allow("r", reason="", effects=("write",)), True),
        (allow("r", reason="", effects=("irreversible",)), False),
        (allow("r", reason="", scopes=("money:send", "other")), True),
        (allow("r", reason="", scopes=("other",)), False),
        (allow("r", reason="", tenants=("acme",)), True),
        (allow("r", reason="", tenants=("globex",)), False),
        (allow("r", reason="", tools=("refund",)), True),
        (allow("r", reason="", tools=("mail",)), False),
    ],
)
def test_a_rule_is_for_the_tools_effects_scopes_and_tenants_it_names(rule: Rule, holds: bool) -> None:
    context = rule_context()
    scoped = replace(context, tool=context.tool.model_copy(update={"scopes": ("money:send",)}))
    assert (decide([rule], scoped).verdict == "allow") == holds


def test_a_guard_asks_of_what_another_rule_allows() -> None:
    watch = guard("watch", reason="look", when=answering(True), people=2)
    decision = decide([allow("all", reason=""), watch], rule_context())
    assert (decision.verdict, decision.rule) == ("ask", "watch")
    assert decision.quorum is not None
    assert decision.quorum.people == 2


def test_a_guard_alone_lets_nothing_through() -> None:
    decision = decide([guard("watch", reason="look", when=answering(True))], rule_context())
    assert (decision.verdict, decision.rule) == ("deny", "default")


def test_a_guard_holds_in_every_tier() -> None:
    rules = [allow("all", reason="", tiers=TIERS), guard("watch", reason="", when=answering(True))]
    assert {decide(rules, rule_context(tier=tier)).verdict for tier in TIERS} == {"ask"}


@given(rule_sets(yes_or_no), tiers, effects, st.booleans())
def test_while_a_freeze_holds_nothing_is_written(
    rules: list[Rule], tier: Tier, effect: Effect, proven: bool
) -> None:
    context = replace(rule_context(tier=tier, effect=effect, proven=proven), frozen=("tenant:acme",))
    decision = decide(rules, context)
    if effect == "read":
        assert decision == decide(rules, replace(context, frozen=()))
    else:
        assert (decision.verdict, decision.rule) == ("deny", "frozen")
        assert "tenant:acme" in decision.reason


@dataclass(frozen=True)
class Answering:
    """Rules of another engine, with a fixed answer."""

    matches: tuple[Match, ...] = ()
    error: Exception | None = None
    engine: str = "other 1.0"
    content: Any = None

    def judge(self, context: RuleContext) -> Sequence[Match]:
        if self.error:
            raise self.error
        return self.matches


@pytest.mark.parametrize(
    ("python", "other", "verdict"),
    [
        ("allow", "deny", "deny"),
        ("deny", "allow", "deny"),
        ("ask", "allow", "ask"),
        ("allow", "ask", "ask"),
        ("allow", "allow", "allow"),
    ],
)
def test_of_two_engines_the_stricter_wins(python: Verdict, other: Verdict, verdict: Verdict) -> None:
    rules = [Rule("python", python, "")]
    assert decide(rules, rule_context(), [Answering((Match("other", other, ""),))]).verdict == verdict


def test_an_engine_that_fails_denies() -> None:
    decision = decide([allow("all", reason="")], rule_context(), [Answering(error=ValueError("no answer"))])
    assert (decision.verdict, decision.rule) == ("deny", "error")
    assert decision.reason == "rule other 1.0 raised ValueError: no answer"


def test_a_rule_sees_how_often_tools_were_called_and_where_arguments_are_from() -> None:
    past = (PastCall("c1", "order", {}, {"card": "4242"}), PastCall("c2", "mail", {}, "sent"))
    context = replace(
        rule_context({"card": "4242", "to": "ada@example.com", "text": "made up"}, past_calls=past),
        provenance=Provenance().plus("task", "Write to ada@example.com"),
    )
    assert (context.calls(), context.calls("mail"), context.calls("pay")) == (2, 1, 0)
    assert [context.label(name) for name in ("card", "to", "text")] == ["tool:order", "task", "model"]
    assert [context.is_trusted(name) for name in ("card", "to", "text")] == [False, True, False]
