"""Whether a run goes in circles: the same call again and again, one failure after the other, nothing new."""

from agentflow.contracts.loops import Circles, LoopLimits
from agentflow.contracts.messages import ToolCall
from agentflow.contracts.tools import ToolResult
from agentflow.contracts.wire import Json, sha256_of

MEMORY = 500
"""How many calls, and how many of their outputs, are remembered."""


def repeated(circles: Circles, call: ToolCall, limits: LoopLimits) -> str | None:
    """Why a call must not be made once more, or ``None``."""
    made = circles.calls.get(_name([call.tool, call.arguments]), 0)
    if limits.same_call is None or made < limits.same_call:
        return None
    return f"the model calls {call.tool} with the same arguments for the {made + 1}th time"


def stuck(circles: Circles, limits: LoopLimits) -> str | None:
    """Why the model must not be asked once more, or ``None``."""
    if limits.failures_in_a_row is not None and circles.failures >= limits.failures_in_a_row:
        return f"{circles.failures} calls in a row have failed"
    if limits.turns_without_progress is not None and circles.stale_turns >= limits.turns_without_progress:
        return f"nothing new has come of {circles.stale_turns} turns"
    return None


def after_call(circles: Circles, call: ToolCall, result: ToolResult) -> Circles:
    """A call of the turn has ended."""
    name = _name([call.tool, call.arguments])
    calls = {**circles.calls, name: circles.calls.get(name, 0) + 1}
    if result.error is not None:
        return circles.model_copy(update={"calls": _newest(calls), "failures": circles.failures + 1})
    said = _name([name, result.output])
    is_new = said not in circles.heard
    heard = (*circles.heard, said)[-MEMORY:] if is_new else circles.heard
    return circles.model_copy(
        update={
            "calls": _newest(calls),
            "failures": 0,
            "heard": heard,
            "is_fresh": circles.is_fresh or is_new,
        }
    )


def after_turn(circles: Circles) -> Circles:
    """All calls of a turn have ended."""
    stale = 0 if circles.is_fresh else circles.stale_turns + 1
    return circles.model_copy(update={"stale_turns": stale, "is_fresh": False})


def after_guidance() -> Circles:
    """A person has taken over: from here on it is counted anew."""
    return Circles()


def _newest(calls: dict[str, int]) -> dict[str, int]:
    return dict(list(calls.items())[-MEMORY:])


def _name(value: Json) -> str:
    try:
        return sha256_of(value)[:16]
    except (ValueError, TypeError, RecursionError):
        # Such a call is refused anyway; all of them count as one.
        return "not JSON"
