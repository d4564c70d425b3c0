"""What a run does next: a pure function of what has happened.

    state ── decide ──▶ CallModel │ CallTools │ Escalate │ Deny │ Finish

The workflow dispatches the step, and the ``after_*`` functions make the next state from its result.
Approvals aren't a step of their own: they are part of one call's way (``AgentWorkflow.call_tool``), so
that a call which waits for people holds up no other call of its turn.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from agentflow.contracts.carried import CarriedTurn, HeldCall
from agentflow.contracts.messages import AssistantMessage, ToolCall
from agentflow.contracts.tools import ToolResult
from agentflow.core.answer import Accepted, AnswerForm, Unusable
from agentflow.core.catalog import Catalog
from agentflow.core.finish import CUT_OFF

OutputT = TypeVar("OutputT")

MAX_FAULTS = 1
"""How often in a row a model is told of its mistake; the next one goes to a person."""
MAX_REFUSALS = 3
"""A run in which this many calls were denied or rejected is not going to be allowed: it ends."""

_MODEL_FAULTS = ("unknown_tool", "invalid_arguments")
_REFUSALS = ("denied", "rejected")


@dataclass(frozen=True)
class CallModel:
    """Ask the model, after telling it ``correction`` if there is one."""

    correction: str | None = None


@dataclass(frozen=True)
class CallTools:
    """Carry these calls out, each if its contract, the rules and people let it."""

    calls: tuple[ToolCall, ...]


@dataclass(frozen=True)
class Escalate:
    """A person must take over."""

    reason: str


@dataclass(frozen=True)
class Deny:
    """The run may not do what it needs to; it ends."""

    reason: str


@dataclass(frozen=True)
class Finish(Generic[OutputT]):
    """The answer is there."""

    value: OutputT


@dataclass(frozen=True)
class TurnState(Generic[OutputT]):
    """Where one request to the model stands, from the question to the usable answer."""

    form: AnswerForm[OutputT]
    calls: tuple[ToolCall, ...] = ()
    """Asked for by the last answer, not yet carried out."""
    answer: Accepted[OutputT] | None = None
    fault: str | None = None
    """Why the model's last answer can't be used."""
    faults: int = 0
    """Unusable answers in a row."""
    refusals: int = 0
    refused: str = ""
    """The last denial's or rejection's reason."""


Step = CallModel | CallTools | Escalate | Deny | Finish[OutputT]


def decide(state: TurnState[OutputT]) -> Step[OutputT]:
    """The next step."""
    if state.refusals >= MAX_REFUSALS:
        return Deny(state.refused)
    if state.faults > MAX_FAULTS:
        return Escalate(f"the model's answers can't be used: {state.fault}")
    if state.calls:
        return CallTools(state.calls)
    if state.answer is not None:
        return Finish(state.answer.value)
    return CallModel(correction=state.fault)


def is_final(message: AssistantMessage, unfinished: str | None) -> bool:
    """Whether what the model said is to be read as its answer."""
    return unfinished is None and not message.tool_calls


def after_answer(
    state: TurnState[OutputT],
    message: AssistantMessage,
    unfinished: str | None,
    *,
    tools_offered: bool,
    checked: Accepted[OutputT] | Unusable | None = None,
) -> TurnState[OutputT]:
    """The state after the model has answered.

    Args:
        state: The state before.
        message: The answer.
        unfinished: Why it isn't finished, if it isn't (``core.finish``): nothing of it is used.
        tools_offered: Whether it may ask for calls.
        checked: What it came to, held against the form; ``None`` where nobody has looked yet.
    """
    if unfinished == CUT_OFF:
        # Even whole tool calls of a cut answer may lack the ones that should have followed.
        return _faulty(state, "the answer was cut off at the longest length allowed; be shorter")
    if unfinished is not None:
        # Asked again, the same model would end in the same way: a person decides.
        return replace(_faulty(state, f"the answer is not finished: {unfinished}"), faults=MAX_FAULTS + 1)
    if message.tool_calls and tools_offered:
        return replace(state, calls=message.tool_calls, answer=None, fault=None)
    if message.tool_calls:
        return _faulty(state, "no tools are on offer here; answer in the form asked for")
    checked = state.form.parse(message.text) if checked is None else checked
    if isinstance(checked, Accepted):
        return replace(state, calls=(), answer=checked, fault=None, faults=0)
    return _faulty(state, checked.problem)


def after_results(state: TurnState[OutputT], results: Sequence[ToolResult]) -> TurnState[OutputT]:
    """The state after the calls of a turn have been carried out or refused."""
    errors = [result.error for result in results if result.error]
    refused = [error for error in errors if error.kind in _REFUSALS]
    done = replace(
        state,
        calls=(),
        refusals=state.refusals + len(refused),
        refused=refused[-1].message if refused else state.refused,
    )
    if mistake := next((error for error in errors if error.kind in _MODEL_FAULTS), None):
        # The model reads the mistake as the call's result: no further correction is needed.
        return replace(
            _faulty(done, mistake.message), fault=None if state.faults < MAX_FAULTS else mistake.message
        )
    return replace(done, fault=None, faults=0)


def after_guidance(state: TurnState[OutputT]) -> TurnState[OutputT]:
    """The state after a person has told the model what to do: it may err afresh."""
    return replace(state, calls=(), answer=None, fault=None, faults=0, refusals=0)


def after_unfit_answer(state: TurnState[OutputT], by: str, problem: str) -> TurnState[OutputT]:
    """The state after a person supplied an answer that doesn't fit: people are asked again."""
    fault = f"the answer of {by} does not fit: {problem}"
    return replace(after_guidance(state), fault=fault, faults=MAX_FAULTS + 1)


def carried(
    state: TurnState[OutputT], calls: Sequence[HeldCall] = (), results: Sequence[ToolResult] = ()
) -> CarriedTurn:
    """The state as it is taken along when the run continues as new.

    Args:
        state: The state.
        calls: The calls that the model has not been told of.
        results: Of the calls it has been told of. Only their errors matter from here on.
    """
    return CarriedTurn(
        calls=tuple(calls),
        told=tuple(ToolResult(error=result.error) for result in results if result.error),
        fault=state.fault,
        faults=state.faults,
        refusals=state.refusals,
        refused=state.refused,
    )


def taken_up(form: AnswerForm[OutputT], carried_turn: CarriedTurn) -> TurnState[OutputT]:
    """The state again."""
    return TurnState(
        form,
        calls=tuple(held.call for held in carried_turn.calls),
        fault=carried_turn.fault,
        faults=carried_turn.faults,
        refusals=carried_turn.refusals,
        refused=carried_turn.refused,
    )


def _faulty(state: TurnState[OutputT], problem: str) -> TurnState[OutputT]:
    return replace(state, calls=(), answer=None, fault=problem, faults=state.faults + 1)


def parallel_groups(calls: Sequence[HeldCall], catalog: Catalog) -> list[tuple[HeldCall, ...]]:
    """The calls in order, neighbouring reads together: reads don't disturb each other, writes may."""
    groups: list[tuple[HeldCall, ...]] = []
    was_read = False
    for call in calls:
        contract = catalog.contracts.get(call.call.tool)
        is_read = contract is not None and contract.effect == "read"
        if is_read and was_read:
            groups[-1] = (*groups[-1], call)
        else:
            groups.append((call,))
        was_read = is_read
    return groups
