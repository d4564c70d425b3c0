from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agentflow.contracts.loops import Circles, LoopLimits
from agentflow.contracts.tools import ToolError, ToolResult
from agentflow.core.loops import MEMORY, after_call, after_guidance, after_turn, repeated, stuck
from tests.core.samples import call_of
from tests.core.strategies import odd_objects

LIMITS = LoopLimits(same_call=3, failures_in_a_row=2, turns_without_progress=2)
FAILED = ToolResult(error=ToolError(kind="failed", message="no"))
LOOK = call_of("look", at=1)


def made(*ends: ToolResult, circles: Circles | None = None) -> Circles:
    """A turn for each end of the same call."""
    found = circles or Circles()
    for end in ends:
        found = after_turn(after_call(found, LOOK, end))
    return found


def test_the_same_call_is_stopped_after_the_limit() -> None:
    circles = made(*(ToolResult(output=number) for number in range(3)))
    assert repeated(circles, LOOK, LIMITS) == (
        "the model calls look with the same arguments for the 4th time"
    )
    assert repeated(circles, call_of("look", at=2), LIMITS) is None
    assert repeated(made(ToolResult(), ToolResult()), LOOK, LIMITS) is None


def test_failures_in_a_row_stop_the_run_and_a_success_begins_anew() -> None:
    assert stuck(made(FAILED, FAILED), LIMITS) == "2 calls in a row have failed"
    assert stuck(made(FAILED, ToolResult(output=1), FAILED), LIMITS) is None


def test_turns_without_anything_new_stop_the_run() -> None:
    assert stuck(made(*[ToolResult(output=1)] * 3), LIMITS) == "nothing new has come of 2 turns"
    assert stuck(made(*[ToolResult(output=1)] * 2), LIMITS) is None
    assert stuck(made(*(ToolResult(output=number) for number in range(9))), LIMITS) is None


def test_one_new_output_makes_a_turn_count() -> None:
    circles = made(*[ToolResult(output=1)] * 2)
    circles = after_call(circles, LOOK, ToolResult(output=1))
    circles = after_turn(after_call(circles, call_of("look", at=9), ToolResult(output=1)))
    assert circles.stale_turns == 0


def test_after_a_person_took_over_it_is_counted_anew() -> None:
    assert after_guidance() == Circles()


def test_without_limits_nothing_is_stopped() -> None:
    endless = LoopLimits(same_call=None, failures_in_a_row=None, turns_without_progress=None)
    circles = made(*[FAILED] * 50)
    assert repeated(circles, LOOK, endless) is None
    assert stuck(circles, endless) is None


def test_what_is_remembered_has_a_bound() -> None:
    circles = Circles()
    for number in range(MEMORY + 10):
        circles = after_call(circles, call_of("look", at=number), ToolResult(output=number))
    assert len(circles.calls) == MEMORY
    assert len(circles.heard) == MEMORY


@given(st.lists(st.tuples(odd_objects, odd_objects), max_size=5))
def test_counting_never_raises(calls: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    circles = Circles()
    for arguments, output in calls:
        call = LOOK.model_copy(update={"arguments": arguments})
        assert repeated(circles, call, LIMITS) is None or len(calls) > 3
        circles = after_turn(after_call(circles, call, ToolResult.model_construct(output=output)))
        stuck(circles, LIMITS)
