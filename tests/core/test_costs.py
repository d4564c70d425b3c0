"""Cost per successful completion: what failed is paid for, too."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from agentflow.core.costs import RunCost, cost_lines, total_line

costs = st.lists(
    st.builds(
        RunCost,
        st.sampled_from(["a", "b", "c"]),
        st.uuids().map(str),
        st.decimals(0, 100, places=6),
        st.booleans(),
    ),
    max_size=30,
)


def test_runs_that_came_to_nothing_are_in_the_cost_of_those_that_did() -> None:
    given_ = [
        RunCost("a", "1", Decimal("0.10"), True),
        RunCost("a", "2", Decimal("0.30"), False),
        RunCost("a", "3", Decimal("0.20"), True),
    ]
    (line,) = cost_lines(given_)
    assert (line.runs, line.completed, line.cost_usd, line.cpsc_usd) == (
        3,
        2,
        Decimal("0.60"),
        Decimal("0.30"),
    )


def test_without_a_success_there_is_no_cost_of_one() -> None:
    (line,) = cost_lines([RunCost("a", "1", Decimal("0.10"), False)])
    assert line.cpsc_usd is None


def test_a_run_of_two_models_counts_once_in_all() -> None:
    shares = [RunCost("small", "1", Decimal("0.1"), True), RunCost("large", "1", Decimal("0.9"), True)]
    total = total_line(shares)
    assert (total.runs, total.completed, total.cpsc_usd) == (1, 1, Decimal("1.000000"))


@given(costs)
def test_groups_add_up_to_the_whole(given_: list[RunCost]) -> None:
    lines, total = cost_lines(given_), total_line(given_)
    assert sum((line.cost_usd for line in lines), Decimal(0)) == total.cost_usd
    assert sum(line.runs for line in lines) == total.runs
