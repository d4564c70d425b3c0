"""The run's talk with a model: reserve, call, settle, and add to the transcript.

An answer that isn't finished is no part of the conversation, unless it is one that was cut off: the model of
the route that comes next is asked the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from temporalio.exceptions import ActivityError, is_cancelled_exception

from agentflow.contracts.budget import Spend
from agentflow.contracts.messages import CompactionMessage, Entry, UserMessage
from agentflow.contracts.model import Brief, ChatRequest, ChatResponse, ModelOptions, ModelSpec, ToolOffer
from agentflow.contracts.names import GUARD_REFUSED_ERROR
from agentflow.contracts.wire import Json, Sha256, sha256_of
from agentflow.core.budget import attempts
from agentflow.core.compaction import Summarise, planned, shortening
from agentflow.core.finish import CUT_OFF, unfinished
from agentflow.core.pricing import (
    TOKENS_AROUND_MESSAGE,
    brief_token_bound,
    message_token_bound,
    worst_case,
)
from agentflow.core.transcript import abridged
from agentflow.errors import BudgetExhausted, RunDenied
from agentflow.workflow import dispatch, waiting
from agentflow.workflow.charging import Reserved, settle, settle_failure
from agentflow.workflow.failures import failure_of
from agentflow.workflow.recording import recorded_plan
from agentflow.workflow.run import Run


@dataclass(frozen=True)
class _NamedBrief:
    brief: Brief
    name: Sha256


@dataclass(frozen=True)
class Said:
    """What came of a model call."""

    response: ChatResponse
    model: ModelSpec
    """That was asked."""
    excess: str | None = None
    """Why people must see the run before it goes on: the call cost more than was possible."""

    @property
    def unfinished(self) -> str | None:
        """Why the answer isn't one; ``None`` if it is."""
        response = self.response
        return unfinished(self.model.name, response.finish_reason, response.answer)


class Conversation:
    """Calls to the models of the route for one kind of answer, with the same tools on offer."""

    def __init__(
        self,
        run: Run,
        tools: tuple[ToolOffer, ...],
        output_schema: dict[str, Json] | None,
    ) -> None:
        self._run = run
        self._options: ModelOptions = run.definition.model_options
        self._tools = tools
        self._output_schema = output_schema
        self._compaction = run.definition.compaction
        self._brief_tokens = brief_token_bound(run.definition.instructions, tools, output_schema)
        self._briefs: dict[tuple[str, bool], _NamedBrief] = {}

    async def ask(self) -> Said:
        """Ask the models of the route, and add the answer to the transcript.

        A call that fails for good escalates; a person's guidance tries again. Where an answer isn't finished,
        the next model of the route is asked, until there is none; the last one's answer comes back.

        Raises:
            BudgetExhausted: no model of the route fits what is left.
            RunEscalated: it failed, and a person aborted or the deadline passed.
        """
        run = self._run
        route = run.manifest.models
        while True:
            try:
                await self._make_room()
                run.turn += 1
                reserved = self._affordable(route)
                named = self._brief_for(reserved.model)
                said = await self._call(reserved, named, run.transcript.news)
                run.calls.local_since_answer = False
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                failure = failure_of(error)
                if failure.kind == GUARD_REFUSED_ERROR:
                    run.note("check", False, failure.message)
                    raise RunDenied(failure.message) from None
            else:
                route = self._rest_of(route, said)
                if said.unfinished in (None, CUT_OFF):
                    response = said.response
                    run.transcript = run.transcript.answered(response.answer, response.head, named.name)
                    run.parent_brief = named.name
                else:
                    self._leave_out(said, named, route)
                dispatch.heed_cancellation()
                if said.excess or not route:
                    return said
                continue
            route = run.manifest.models
            dispatch.heed_cancellation()
            await waiting.escalate(run, f"the model can't be reached: {failure.message}")

    def _rest_of(self, route: Sequence[ModelSpec], said: Said) -> Sequence[ModelSpec]:
        """The models that are to be asked the same; none where the answer is of use, or none fits."""
        if said.unfinished in (None, CUT_OFF) or said.excess:
            return ()
        rest = route[route.index(said.model) + 1 :]
        return rest if self._first_that_fits(rest) else ()

    def _leave_out(self, said: Said, named: _NamedBrief, rest: Sequence[ModelSpec]) -> None:
        """Record an answer that isn't finished: it is in history, and not in the conversation."""
        run, response = self._run, said.response
        run.transcript.named(response.head, (*run.transcript.news, response.answer), named.name)
        calls = [call.tool for call in response.answer.tool_calls]
        without = f"; not carried out: {', '.join(calls)}" if calls else ""
        then = "the next model of the route is asked" if rest else "no model is left to ask"
        run.note(
            "model_call",
            False,
            f"turn {run.turn}: the answer of {said.model.name} is not finished ({said.unfinished}){without}; "
            f"{then}",
        )

    async def _make_room(self) -> None:
        """Have the conversation shortened while it doesn't fit the smallest context of the route.

        Raises:
            RunEscalated: nothing more may go, and a person aborted or the deadline passed.
        """
        run = self._run
        while self._compaction and (excess := self._excess()) > 0:
            outline, models = run.transcript.outline, len(run.manifest.models)
            found = planned(self._compaction, outline, excess, models)
            strategy = str(self._compaction.name)
            (plan, problem), strategy = await recorded_plan(run.calls, found, strategy)
            if isinstance(plan, Summarise):
                summary = await self._summarised(plan, strategy)
                plan, problem = shortening(run.transcript.outline, summary)
            if plan is None:
                reason = f"the conversation is longer than the model's context, and {problem}"
                await waiting.escalate(run, reason)
                return
            before = run.transcript.tokens
            run.transcript = run.transcript.add(plan)
            said = f"{plan.strategy}: from at most {before} tokens to {run.transcript.tokens}"
            run.note("compaction", True, said)

    def _excess(self) -> int:
        """By how many tokens of the bound the conversation is too long.

        What the provider counted last time says how far the bound is above the truth.
        """
        run = self._run
        contexts = [model.context_tokens for model in run.manifest.models if model.context_tokens]
        if not contexts:
            return 0
        # A tenth is left free: what was measured is of another request.
        room = min(contexts) * 9 // 10 - self._options.max_output_tokens
        counted, bound = run.measured or (1, 1)
        return run.transcript.tokens + self._brief_tokens - max(room, 0) * bound // max(counted, 1)

    async def _summarised(self, plan: Summarise, strategy: str) -> CompactionMessage | None:
        """Have a model summarise: a call beside the conversation, which goes on from where it was.

        Returns:
            The compaction, or ``None`` when the model said nothing, or not all of it.
        """
        run = self._run
        models = run.manifest.models
        run.turn += 1
        request = UserMessage(text=plan.instructions, label="instruction")
        extra = message_token_bound(request)
        reserved = self._affordable((models[plan.model],), extra)
        run.note("compaction", True, f"{strategy}: {reserved.model.name} summarises, in turn {run.turn}")
        news, bare = (*run.transcript.news, request), self._brief_for(reserved.model, bare=True)
        said = await self._call(reserved, bare, news)
        response = said.response
        run.transcript.named(response.head, (*news, response.answer), bare.name)
        if said.excess:
            await waiting.escalate(run, said.excess)
        if said.unfinished is not None or not response.answer.text.strip():
            return None
        return CompactionMessage(
            strategy=strategy, start=plan.start, end=plan.end, summary=response.answer.text
        )

    async def _call(self, reserved: Reserved, named: _NamedBrief, news: Sequence[Entry]) -> Said:
        """One call, paid for."""
        run = self._run
        run.enter("thinking")
        run.purse = run.purse.reserve(reserved.name, attempts(reserved.worst, reserved.attempts))
        run.models_used |= {reserved.model.name}
        try:
            response = await self._send(reserved, named, news)
        except BaseException as error:
            settle_failure(run, reserved, error)
            raise
        return Said(response, reserved.model, settle(run, reserved, response))

    async def _send(self, reserved: Reserved, named: _NamedBrief, news: Sequence[Entry]) -> ChatResponse:
        run = self._run
        results, messages = abridged(news, run.transcript.calls)
        request = ChatRequest(
            parent=run.transcript.head,
            results=results,
            messages=messages,
            brief=None if named.name == run.parent_brief else named.name,
            brief_in_full=None if named.name in run.briefs_sent else named.brief,
            known=run.told_values(),
        )
        summary = f"turn {run.turn}"
        if reserved.model != run.manifest.models[0]:
            summary = f"{summary}: {reserved.model.name}"
        response = await dispatch.chat(
            run.calls,
            request,
            self._options,
            turn=run.turn,
            attempts=reserved.attempts,
            prompt_bytes=reserved.prompt_bytes,
            summary=summary,
            limit=run.manifest.max_payload_bytes,
        )
        run.briefs_sent |= {named.name}
        return response

    def _brief_for(self, model: ModelSpec, *, bare: bool = False) -> _NamedBrief:
        """What a model is told besides the conversation; ``bare``, for a summary, without tools and form."""
        key = (model.name, bare)
        if key not in self._briefs:
            brief = Brief(
                model=model,
                instructions=self._run.definition.instructions,
                tools=() if bare else self._tools,
                output_schema=None if bare else self._output_schema,
                max_output_tokens=self._options.max_output_tokens,
                max_tool_calls=self._options.max_tool_calls,
                temperature=self._options.temperature,
                timeout=self._options.start_to_close_timeout,
                rules=self._rules_id(),
            )
            self._briefs[key] = _NamedBrief(brief, sha256_of(brief.model_dump(mode="json")))
        return self._briefs[key]

    def _rules_id(self) -> str | None:
        manifest = self._run.manifest
        return manifest.rules.id if manifest.rules and manifest.rules_in_briefs else None

    def _affordable(self, route: Sequence[ModelSpec], extra_tokens: int = 0) -> Reserved:
        """The first model of the route whose worst case fits, and how many attempts of it do."""
        run = self._run
        if reserved := self._first_that_fits(route, extra_tokens):
            if reserved.model is not route[0]:
                run.metrics.fell_back(reserved.model.name)
            return reserved
        cheapest = route[-1]
        worst = self._worst_case(cheapest, extra_tokens)
        raise BudgetExhausted(f"a call of {cheapest.name} does not fit: {run.purse.shortfall(worst)}")

    def _first_that_fits(self, route: Sequence[ModelSpec], extra_tokens: int = 0) -> Reserved | None:
        run, most = self._run, self._options.retry.max_attempts
        for model in route:
            worst = self._worst_case(model, extra_tokens)
            if fitting := run.purse.affordable_attempts(worst, most):
                return Reserved(f"chat-{run.turn}", model, worst, fitting, self._prompt_bytes())
        return None

    def _worst_case(self, model: ModelSpec, extra_tokens: int) -> Spend:
        tokens = self._brief_tokens + self._run.transcript.tokens + extra_tokens
        return worst_case(model.price, tokens, self._options.max_output_tokens)

    def _prompt_bytes(self) -> int:
        """Length of what people, tools and the instructions said: sent as it is, whatever the provider."""
        told = (line.tokens for line in self._run.transcript.outline if line.kind != "assistant")
        instructions = len(self._run.definition.instructions.encode(errors="replace"))
        return instructions + sum(max(tokens - TOKENS_AROUND_MESSAGE, 0) for tokens in told)
