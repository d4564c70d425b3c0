from datetime import timedelta
from decimal import ROUND_DOWN, Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule
from pydantic import ValidationError

from agentflow.contracts.budget import Budget, Spend
from agentflow.contracts.manifest import SpentBefore
from agentflow.contracts.model import ModelOptions
from agentflow.contracts.task import AgentTask
from agentflow.core.budget import Purse, attempts, tightest
from agentflow.errors import BudgetExhausted, ConfigurationError
from tests.core.strategies import dollars, spends

LIMITS = ("cost_usd", "input_tokens", "output_tokens", "model_calls", "tool_calls")

budgets = st.builds(
    Budget,
    cost_usd=st.none() | dollars,
    input_tokens=st.none() | st.integers(0, 8_000),
    output_tokens=st.none() | st.integers(0, 2_000),
    model_calls=st.none() | st.integers(0, 6),
    tool_calls=st.none() | st.integers(0, 6),
)
percentages = st.integers(0, 100)


def part_of(worst: Spend, percent: int) -> Spend:
    """What a call may really cost: at most its worst case, in every unit."""
    share = Decimal(percent) / 100
    return Spend(
        cost_usd=(worst.cost_usd * share).quantize(Decimal("1e-12"), ROUND_DOWN),
        input_tokens=worst.input_tokens * percent // 100,
        output_tokens=worst.output_tokens * percent // 100,
        model_calls=worst.model_calls * percent // 100,
        tool_calls=worst.tool_calls * percent // 100,
    )


def limits_passed(budget: Budget, spend: Spend) -> list[str]:
    most = {name: getattr(budget, name) for name in LIMITS}
    return [name for name in LIMITS if most[name] is not None and getattr(spend, name) > most[name]]


def total(spends: list[Spend]) -> Spend:
    return sum(spends, Spend())


class RunThatSpends(RuleBasedStateMachine):
    """Calls under way at once, which end in any order: answered, retried, or failed for good."""

    under_way = Bundle("under_way")

    @initialize(budget=budgets)
    def start(self, budget: Budget) -> None:
        self.purse = Purse(budget)
        self.budget = budget
        self.charged: list[Spend] = []
        self.promised: dict[str, Spend] = {}
        self.uncertain = Decimal(0)
        self.calls = 0

    @rule(target=under_way, worst=spends, most=st.integers(1, 4))
    def begin(self, worst: Spend, most: int) -> object:
        count = self.purse.affordable_attempts(worst, most)
        if not count:
            with pytest.raises(BudgetExhausted):
                self.purse.reserve("too much", worst)
            return multiple()
        self.calls += 1
        name = f"call-{self.calls}"
        self.purse = self.purse.reserve(name, attempts(worst, count))
        self.promised[name] = attempts(worst, count)
        return name, worst, count

    @rule(target=under_way, worst=spends)
    def begin_whatever_it_costs(self, worst: Spend) -> object:
        self.calls += 1
        name = f"call-{self.calls}"
        try:
            self.purse = self.purse.reserve(name, worst)
        except BudgetExhausted:
            would_be = total([*self.charged, *self.promised.values(), worst])
            assert limits_passed(self.budget, would_be)
            return multiple()
        self.promised[name] = worst
        return name, worst, 1

    @rule(call=consumes(under_way), percent=percentages, unheard=st.integers(0, 3))
    def succeed(self, call: tuple[str, Spend, int], percent: int, unheard: int) -> None:
        name, worst, count = call
        lost = attempts(worst, min(unheard, count - 1)).model_copy(update={"model_calls": 0, "tool_calls": 0})
        self.settle(name, part_of(worst, percent) + lost, lost.cost_usd)

    @rule(call=consumes(under_way), made=st.integers(0, 4))
    def fail(self, call: tuple[str, Spend, int], made: int) -> None:
        name, worst, count = call
        lost = attempts(worst, min(made, count))
        self.settle(name, lost, lost.cost_usd)

    def settle(self, name: str, actual: Spend, uncertain: Decimal) -> None:
        self.purse = self.purse.settle(name, actual, uncertain)
        del self.promised[name]
        self.charged.append(actual)
        self.uncertain += uncertain

    @invariant()
    def never_more_than_the_budget(self) -> None:
        assert limits_passed(self.budget, self.purse.settled + self.purse.reserved) == []

    @invariant()
    def nothing_is_forgotten(self) -> None:
        report = self.purse.report()
        assert report.settled == total(self.charged)
        assert report.reserved == total(list(self.promised.values()))
        assert report.possibly_billed_usd == self.uncertain


RunThatSpends.TestCase.settings = settings(max_examples=50, stateful_step_count=25)
TestSettledAndReservedNeverExceedTheBudget = RunThatSpends.TestCase


@given(budgets, spends, st.integers(1, 6))
def test_affordable_attempts_is_the_most_that_fits(budget: Budget, worst: Spend, most: int) -> None:
    purse = Purse(budget)
    count = purse.affordable_attempts(worst, most)
    assert 0 <= count <= most
    assert count == 0 or purse.shortfall(attempts(worst, count)) is None
    assert count == most or purse.shortfall(attempts(worst, count + 1)) is not None


def test_attempts_multiply_dollars_and_tokens_but_are_one_call() -> None:
    worst = Spend(cost_usd=Decimal("0.5"), input_tokens=10, output_tokens=3, model_calls=1)
    assert attempts(worst, 3) == Spend(
        cost_usd=Decimal("1.5"), input_tokens=30, output_tokens=9, model_calls=1
    )
    assert attempts(worst, 0) == Spend()


def test_a_spend_that_meets_the_limit_exactly_fits() -> None:
    purse = Purse(Budget(cost_usd=Decimal("1.00")))
    assert purse.shortfall(Spend(cost_usd=Decimal("1.00"))) is None
    assert purse.shortfall(Spend(cost_usd=Decimal("1.000000000001"))) is not None


def test_the_shortfall_names_the_limit_and_both_amounts() -> None:
    purse = Purse(Budget(tool_calls=1), settled=Spend(tool_calls=1))
    assert purse.shortfall(Spend(tool_calls=1)) == "tool_calls would reach 2, the budget is 1"


def test_a_name_that_has_a_reservation_is_refused() -> None:
    purse = Purse(Budget()).reserve("chat-1", Spend(model_calls=1))
    with pytest.raises(ValueError, match="chat-1"):
        purse.reserve("chat-1", Spend(model_calls=1))


def test_a_refused_reservation_leaves_the_purse_as_it_was() -> None:
    purse = Purse(Budget(tool_calls=0))
    with pytest.raises(BudgetExhausted):
        purse.reserve("tool-1", Spend(tool_calls=1))
    assert purse.reserved == Spend()


limits_asked = st.fixed_dictionaries(
    {},
    optional={
        "cost_usd": st.none() | dollars,
        "input_tokens": st.none() | st.integers(0, 50),
        "model_calls": st.none() | st.integers(0, 50),
        "tool_calls": st.none() | st.integers(0, 200),
        "wall_time": st.none() | st.timedeltas(timedelta(seconds=1), timedelta(days=14)),
    },
)


def larger(asked: object, own: object) -> bool:
    return asked is not None and own is not None and asked > own  # type: ignore[operator]


@given(limits_asked, limits_asked)
def test_a_task_may_only_make_the_budget_smaller(own: dict[str, object], asked: dict[str, object]) -> None:
    agent, task = Budget.model_validate(own), Budget.model_validate(asked)
    if any(larger(value, getattr(agent, name)) for name, value in asked.items()):
        with pytest.raises(ConfigurationError, match="may only be smaller"):
            tightest(agent, task)
        return
    merged = tightest(agent, task)
    for name in Budget.model_fields:
        wanted = asked.get(name)
        assert getattr(merged, name) == (getattr(agent, name) if wanted is None else wanted)


@given(limits_asked)
def test_a_task_without_a_budget_has_the_agents(own: dict[str, object]) -> None:
    agent = Budget.model_validate(own)
    assert tightest(agent, None) == agent


def test_the_limits_a_task_leaves_out_are_the_agents_also_when_the_task_came_over_the_wire() -> None:
    agent = Budget(cost_usd=Decimal("0.50"), model_calls=5, wall_time=timedelta(hours=1))
    sent = AgentTask[str](input="hello", requested_by="ada", budget=Budget(cost_usd=Decimal("0.10")))
    received = AgentTask[str].model_validate_json(sent.model_dump_json())
    assert tightest(agent, received.budget) == agent.model_copy(update={"cost_usd": Decimal("0.10")})


def test_what_is_under_way_as_a_run_ends_is_settled_in_full() -> None:
    purse = Purse(Budget(), settled=Spend(cost_usd=Decimal("0.10"), tool_calls=1))
    purse = purse.reserve("one", Spend(cost_usd=Decimal("0.20"), model_calls=1))
    purse = purse.reserve("two", Spend(cost_usd=Decimal("0.30"), tool_calls=1)).closed()
    assert purse.settled == Spend(cost_usd=Decimal("0.60"), model_calls=1, tool_calls=2)
    assert (purse.reserved, purse.possibly_billed_usd) == (Spend(), Decimal("0.50"))


def test_answers_of_a_length_that_no_sum_of_money_holds_are_refused() -> None:
    with pytest.raises(ValidationError):
        ModelOptions(max_output_tokens=10**16)


def test_what_tries_before_spent_is_settled_once_and_named_where_it_leaves_too_little() -> None:
    began = SpentBefore(cost_usd=Decimal("0.10"), possibly_billed_usd=Decimal("0.02"))
    more = SpentBefore(cost_usd=Decimal("0.40"), possibly_billed_usd=Decimal("0.05"))
    purse = Purse(Budget(cost_usd=Decimal("0.50"))).after_tries(began)
    purse = purse.carried_over(Spend(cost_usd=Decimal("0.30")), Decimal("0.03")).after_tries(more)
    assert (purse.settled.cost_usd, purse.possibly_billed_usd) == (Decimal("0.40"), Decimal("0.06"))
    said = purse.shortfall(Spend(cost_usd=Decimal("0.20")))
    assert said is not None
    assert said.endswith("the budget is 0.50, of which tries of this run before this one spent 0.40")
