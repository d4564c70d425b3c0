from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.contracts.carried import HeldCall
from agentflow.contracts.messages import AssistantMessage
from agentflow.contracts.tools import ToolError, ToolErrorKind, ToolResult
from agentflow.core.answer import answer_form
from agentflow.core.catalog import Catalog
from agentflow.core.finish import unfinished
from agentflow.core.turn import (
    CallModel,
    CallTools,
    Deny,
    Escalate,
    Finish,
    TurnState,
    after_answer,
    after_guidance,
    after_results,
    decide,
    parallel_groups,
)
from agentflow.testing import answer, call, calls
from tests.core.samples import call_of, contract_of

START = TurnState(answer_form(int))
FAULTS = ("unknown_tool", "invalid_arguments")
REFUSALS = ("denied", "rejected")
KINDS: tuple[ToolErrorKind, ...] = (*FAULTS, *REFUSALS, "failed", "invalid_output")

State = TurnState[int]


def answered(
    state: State, message: AssistantMessage, finish_reason: str = "stop", tools: bool = True
) -> State:
    why = unfinished("openai-chat:m", finish_reason, message)
    return after_answer(state, message, why, tools_offered=tools)


def failed(kind: ToolErrorKind, message: str = "no") -> ToolResult:
    return ToolResult(error=ToolError(kind=kind, message=message))


def asked_and_got(state: State, *results: ToolResult) -> State:
    asked = answered(state, calls(*(("tool", {}) for _ in results)))
    return after_results(asked, results)


def test_a_run_begins_with_the_model() -> None:
    assert decide(START) == CallModel()


def test_a_usable_answer_finishes() -> None:
    assert decide(answered(START, answer(7))) == Finish(7)


def test_an_unusable_answer_is_repaired_once_and_then_a_persons_matter() -> None:
    once = answered(START, answer("seven"))
    step = decide(once)
    assert isinstance(step, CallModel)
    assert step.correction is not None
    assert "integer" in step.correction or "JSON" in step.correction
    assert isinstance(decide(answered(once, answer("seven"))), Escalate)


def test_a_repaired_answer_finishes() -> None:
    assert decide(answered(answered(START, answer("seven")), answer(7))) == Finish(7)


def test_tool_calls_are_carried_out_and_then_the_model_goes_on() -> None:
    asked = answered(START, call("order", id=5))
    step = decide(asked)
    assert isinstance(step, CallTools)
    assert [c.tool for c in step.calls] == ["order"]
    assert decide(after_results(asked, [ToolResult(output=1)])) == CallModel()


@pytest.mark.parametrize("kind", FAULTS)
def test_a_mistaken_call_is_told_once_and_then_a_persons_matter(kind: ToolErrorKind) -> None:
    once = asked_and_got(START, failed(kind, "there is no tool x"))
    # The model reads the mistake as the call's result, so there is nothing more to say.
    assert decide(once) == CallModel(correction=None)
    twice = decide(asked_and_got(once, failed(kind, "there is no tool x")))
    assert isinstance(twice, Escalate)
    assert "there is no tool x" in twice.reason


def test_a_mistaken_call_and_an_unusable_answer_in_a_row_are_two_faults() -> None:
    mixed = answered(asked_and_got(START, failed("unknown_tool")), answer("seven"))
    assert isinstance(decide(mixed), Escalate)


def test_a_good_call_between_two_faults_forgives_the_first() -> None:
    state = asked_and_got(answered(START, answer("seven")), ToolResult(output=1))
    assert isinstance(decide(answered(state, answer("seven"))), CallModel)


@pytest.mark.parametrize("kinds", [("denied",) * 3, ("rejected",) * 3, ("denied", "rejected", "denied")])
def test_three_refusals_end_the_run(kinds: tuple[ToolErrorKind, ...]) -> None:
    state = START
    for number, kind in enumerate(kinds, start=1):
        assert decide(state) == CallModel()
        state = asked_and_got(state, failed(kind, f"refusal {number}"))
    assert decide(state) == Deny("refusal 3")


def test_three_refusals_in_one_turn_end_the_run() -> None:
    assert decide(asked_and_got(START, *[failed("denied", "not allowed")] * 3)) == Deny("not allowed")


def test_a_good_call_forgives_no_refusal() -> None:
    state = asked_and_got(START, failed("denied"), failed("denied"))
    state = asked_and_got(state, ToolResult(output=1))
    assert isinstance(decide(asked_and_got(state, failed("rejected"))), Deny)


@pytest.mark.parametrize("kind", ["failed", "invalid_output"])
def test_what_went_wrong_at_the_tool_is_no_fault_of_the_model(kind: ToolErrorKind) -> None:
    state = START
    for _ in range(5):
        state = asked_and_got(state, failed(kind))
    assert decide(state) == CallModel()


@pytest.mark.parametrize("message", [answer(7), call("order"), answer("")])
def test_an_answer_cut_off_at_its_length_is_a_fault_even_with_whole_calls(message: AssistantMessage) -> None:
    cut = answered(START, message, finish_reason="length")
    step = decide(cut)
    assert isinstance(step, CallModel)
    assert step.correction is not None
    assert "cut off" in step.correction
    assert isinstance(decide(answered(cut, message, finish_reason="length")), Escalate)


def test_a_call_where_no_tools_are_on_offer_is_a_fault() -> None:
    step = decide(answered(START, call("order"), tools=False))
    assert isinstance(step, CallModel)
    assert step.correction is not None
    assert "no tools" in step.correction


def test_guidance_lets_the_model_err_and_be_refused_afresh() -> None:
    state = asked_and_got(answered(START, answer("seven")), failed("denied"), failed("denied"))
    state = after_guidance(answered(state, answer("seven")))
    assert decide(state) == CallModel()
    state = asked_and_got(answered(state, answer("seven")), failed("denied"), failed("denied"))
    assert decide(state) == CallModel()


Event = Literal["good", "bad", "cut"] | tuple[ToolErrorKind | None, ...]
events: st.SearchStrategy[Event] = st.sampled_from(["good", "bad", "cut"]) | st.lists(
    st.sampled_from([None, *KINDS]), min_size=1, max_size=3
).map(tuple)


def happened(state: State, event: Event) -> State:
    match event:
        case "good":
            return answered(state, answer(7))
        case "bad":
            return answered(state, answer("seven"))
        case "cut":
            return answered(state, answer(7), finish_reason="length")
        case _:
            return asked_and_got(state, *(failed(kind) if kind else ToolResult(output=1) for kind in event))


@given(st.lists(events, max_size=12))
def test_every_history_of_a_request_goes_on_or_ends_as_it_should(sequence: list[Event]) -> None:
    state, faults, refusals = START, 0, 0
    for event in sequence:
        state = happened(state, event)
        if isinstance(event, tuple):
            refusals += sum(kind in REFUSALS for kind in event)
            faults = faults + 1 if any(kind in FAULTS for kind in event) else 0
        else:
            faults = 0 if event == "good" else faults + 1
        step = decide(state)
        if refusals >= 3:
            expected: type = Deny
        elif faults >= 2:
            expected = Escalate
        else:
            expected = Finish if event == "good" else CallModel
        assert type(step) is expected
        if expected is not CallModel:
            return


CATALOG = Catalog.of(
    [
        contract_of("find", "read"),
        contract_of("look", "read"),
        contract_of("pay"),
        contract_of("ship", "irreversible"),
    ]
)


@given(st.lists(st.sampled_from(["find", "look", "pay", "ship", "unknown"]), max_size=8))
def test_parallel_groups_keep_the_order_and_join_only_neighbouring_reads(names: list[str]) -> None:
    asked = [HeldCall(call=call_of(name, f"call_{number}")) for number, name in enumerate(names)]
    groups = parallel_groups(asked, CATALOG)
    assert [c for group in groups for c in group] == asked

    def reads(group: tuple[HeldCall, ...]) -> bool:
        return all(c.call.tool in ("find", "look") for c in group)

    assert all(len(group) == 1 or reads(group) for group in groups)
    assert not any(reads(one) and reads(after) for one, after in pairwise(groups))
