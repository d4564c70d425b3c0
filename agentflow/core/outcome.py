"""Outcomes that are too long for one payload."""

from collections.abc import Iterator
from typing import TypeVar

from agentflow.contracts.outcome import AgentOutcome, ToolCallSummary

OutputT = TypeVar("OutputT")

_LONGEST_REASON = 10_000


def shorter_and_shorter(outcome: AgentOutcome[OutputT]) -> Iterator[AgentOutcome[OutputT]]:
    """The outcome, and then what may be told in its place, the fullest first.

    Reads are left out before writes: what was done to the world matters more than what was looked at. A run
    whose output can't be delivered has not completed.
    """
    yield outcome
    writes = tuple(call for call in outcome.tool_calls if call.effect is not None)
    yield _with_calls(outcome, writes)
    yield _with_calls(outcome, ())
    reason = outcome.reason[:_LONGEST_REASON]
    bare = _with_calls(outcome, ()).model_copy(update={"evidence": (), "output": None, "reason": reason})
    if outcome.status == "completed":
        reason = "the output, with its evidence, is longer than a payload may be"
        bare = bare.model_copy(update={"status": "denied", "reason": reason})
    yield bare


def _with_calls(outcome: AgentOutcome[OutputT], calls: tuple[ToolCallSummary, ...]) -> AgentOutcome[OutputT]:
    omitted = len(outcome.tool_calls) - len(calls)
    return outcome.model_copy(update={"tool_calls": calls, "tool_calls_omitted": omitted})
