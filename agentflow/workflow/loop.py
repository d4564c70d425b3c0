"""The loop of a run: the model and the tools work until there is a usable answer."""

import asyncio
from dataclasses import replace
from typing import Any, Generic, TypeVar, assert_never, cast

from agentflow.contracts.carried import CarriedTurn, HeldCall
from agentflow.contracts.escalation import Resolution
from agentflow.contracts.messages import UserMessage
from agentflow.contracts.model import ToolOffer
from agentflow.contracts.tools import ToolResult
from agentflow.contracts.wire import Json
from agentflow.core import loops, turn
from agentflow.core.answer import AnswerForm, Unusable, answer_json
from agentflow.core.transcript import tool_message
from agentflow.errors import RunDenied
from agentflow.workflow import waiting
from agentflow.workflow.continuation import CallHeldError, Continuation
from agentflow.workflow.conversation import Conversation
from agentflow.workflow.recording import recorded_check
from agentflow.workflow.run import Run
from agentflow.workflow.tool_calls import ToolCalls

AnswerT = TypeVar("AnswerT")


class ModelLoop(Generic[AnswerT]):
    """One request to the model, from the question to the usable answer."""

    def __init__(
        self,
        run: Run,
        tool_calls: ToolCalls,
        form: AnswerForm[AnswerT],
        offers: tuple[ToolOffer, ...],
        *,
        continuation: Continuation,
    ) -> None:
        self._run = run
        self._tool_calls = tool_calls
        self._form = form
        self._offers = offers
        self._loop_limits = run.definition.loop_limits
        self._continuation = continuation
        self._conversation = Conversation(run, offers, form.schema)

    async def answer(self, carried: CarriedTurn | None = None) -> AnswerT:
        """Go on until there is an answer.

        Args:
            carried: Where the execution before this one stood.

        Raises:
            RunStopped: the run may not go on, or has nothing left to go on with.
        """
        state = turn.taken_up(self._form, carried) if carried else turn.TurnState(self._form)
        if carried and carried.calls:
            state = turn.after_results(state, await self._carry_out_all(state, carried))
        while True:
            match turn.decide(state):
                case turn.CallModel() if self._continuation.is_due:
                    await self._continuation.continue_as_new(turn.carried(state))
                case turn.CallModel(correction):
                    state = await self._ask(state, correction)
                case turn.CallTools(calls):
                    begun = CarriedTurn(calls=tuple(HeldCall(call=call) for call in calls))
                    state = turn.after_results(state, await self._carry_out_all(state, begun))
                case turn.Escalate(reason):
                    state = await self._taken_over(state, reason)
                case turn.Deny(reason):
                    raise RunDenied(reason)
                case turn.Finish(value):
                    return value
                case _ as never:  # pyright: ignore[reportUnnecessaryComparison]
                    assert_never(never)

    async def _ask(self, state: turn.TurnState[AnswerT], correction: str | None) -> turn.TurnState[AnswerT]:
        """Ask the model, or a person if the run goes in circles."""
        circle = loops.stuck(self._run.circles, self._loop_limits)
        if circle:
            return await self._taken_over(state, circle)
        if correction:
            self._tell(f"That can't be used: {correction}. Try again.", "instruction")
        said = await self._conversation.ask()
        if said.excess:
            return await self._taken_over(state, said.excess)
        answer, checked = said.response.answer, None
        if turn.is_final(answer, said.unfinished):
            checked = state.form.parse(answer.text)
            if state.form.schema is not None:
                checked = await recorded_check(self._run.calls, checked, answer_json(answer.text))
        return turn.after_answer(
            state, answer, said.unfinished, tools_offered=bool(self._offers), checked=checked
        )

    async def _taken_over(self, state: turn.TurnState[AnswerT], reason: str) -> turn.TurnState[AnswerT]:
        answerable = cast(AnswerForm[Json], self._form)
        resolution = await waiting.escalate(self._run, reason, answerable)
        self._run.circles = loops.after_guidance()
        return await self._resolved(state, resolution)

    async def _resolved(
        self, state: turn.TurnState[AnswerT], resolution: Resolution
    ) -> turn.TurnState[AnswerT]:
        if resolution.action != "answer":
            self._tell(resolution.text, "person")
            return turn.after_guidance(state)
        # It fits the schema; what else its type asks for is code, whose answer is recorded.
        checked = state.form.validate(resolution.answer)
        if state.form.schema is not None:
            checked = await recorded_check(self._run.calls, checked, resolution.answer)
        if isinstance(checked, Unusable):
            return turn.after_unfit_answer(state, resolution.by, checked.problem)
        return replace(turn.after_guidance(state), answer=checked)

    async def _carry_out_all(self, state: turn.TurnState[Any], begun: CarriedTurn) -> list[ToolResult]:
        """Carry out the calls of a turn, in order; neighbouring reads in parallel."""
        results, left = list(begun.told), list(begun.calls)
        for group in turn.parallel_groups(begun.calls, self._run.definition.catalog):
            answers = await asyncio.gather(*(self._carry_out(held) for held in group), return_exceptions=True)
            for answer in answers:
                if isinstance(answer, BaseException) and not isinstance(answer, CallHeldError):
                    raise answer
            left = left[len(group) :]
            if any(isinstance(answer, CallHeldError) for answer in answers):
                held = [_held(call, answer) for call, answer in zip(group, answers, strict=True)]
                await self._continuation.continue_as_new(turn.carried(state, [*held, *left], results))
            for held, answer in zip(group, answers, strict=True):
                assert isinstance(answer, ToolResult)
                message = tool_message(held.call, answer)
                self._run.transcript = self._run.transcript.add(message, stored=answer.stored)
                results.append(answer)
                self._run.circles = loops.after_call(self._run.circles, held.call, answer)
        self._run.circles = loops.after_turn(self._run.circles)
        return results

    async def _carry_out(self, held: HeldCall) -> ToolResult:
        """Carry a call out, unless the model has made it too often."""
        circle = loops.repeated(self._run.circles, held.call, self._loop_limits)
        if circle and held.index is None:
            refused = await self._tool_calls.hand_over(held.call, circle)
            self._run.circles = loops.after_guidance()
            return refused
        return await self._tool_calls.carry_out(held)

    def _tell(self, text: str, label: str) -> None:
        self._run.transcript = self._run.transcript.add(UserMessage(text=text, label=label))


def _held(call: HeldCall, answer: ToolResult | BaseException) -> HeldCall:
    """A call of a group that is not finished, as it is taken along."""
    if isinstance(answer, ToolResult):
        return call.model_copy(update={"result": answer})
    assert isinstance(answer, CallHeldError)
    return answer.held
