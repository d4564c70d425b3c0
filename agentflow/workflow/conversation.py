"""The run's talk with a model: reserve, call, settle, and add to the transcript."""

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
from agentflow.core.pricing import brief_token_bound, cost_usd, message_token_bound, worst_case
from agentflow.core.transcript import abridged
from agentflow.errors import BudgetExhausted, RunDenied
from agentflow.workflow import dispatch, waiting
from agentflow.workflow.failures import failure_of
from agentflow.workflow.recording import recorded_plan
from agentflow.workflow.run import Run


@dataclass(frozen=True)
class _NamedBrief:
    brief: Brief
    name: Sha256


@dataclass(frozen=True)
class _Reserved:
    """What is set aside for one call."""

    name: str
    """Of the reservation: each call has one of its own, however many are under way."""
    model: ModelSpec
    worst: Spend
    """Of one attempt."""
    attempts: int
    """How many the budget covers."""


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

    async def ask(self) -> ChatResponse:
        """Make one model call, and add its answer to the transcript.

        A call that fails for good escalates; a person's guidance tries again.

        Raises:
            BudgetExhausted: no model of the route fits what is left.
            RunEscalated: it failed, and a person aborted or the deadline passed.
        """
        run = self._run
        while True:
            try:
                await self._make_room()
                run.turn += 1
                reserved = self._affordable(run.manifest.models)
                named = self._brief_for(reserved.model)
                response = await self._call(reserved, named, run.transcript.news)
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                failure = failure_of(error)
                if failure.kind == GUARD_REFUSED_ERROR:
                    run.note("check", False, failure.message)
                    raise RunDenied(failure.message) from None
            else:
                run.transcript = run.transcript.answered(response.answer, response.head, named.name)
                run.parent_brief = named.name
                dispatch.heed_cancellation()
                return response
            dispatch.heed_cancellation()
            await waiting.escalate(run, f"the model can't be reached: {failure.message}")

    async def _make_room(self) -> None:
        """Have the conversation shortened while it doesn't fit the smallest context of the route.

        Raises:
            RunEscalated: nothing more may go, and a person aborted or the deadline passed.
        """
        run = self._run
        while self._compaction and (excess := self._excess()) > 0:
            outline, models = run.transcript.outline, len(run.manifest.models)
            found = planned(self._compaction, outline, excess, models)
            plan, problem = await recorded_plan(run.calls, found)
            if isinstance(plan, Summarise):
                summary = await self._summarised(plan, str(self._compaction.name))
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
            The compaction, or ``None`` when the model said nothing.
        """
        run = self._run
        models = run.manifest.models
        run.turn += 1
        request = UserMessage(text=plan.instructions, label="instruction")
        extra = message_token_bound(request)
        reserved = self._affordable((models[plan.model],), extra)
        run.note("compaction", True, f"{strategy}: {reserved.model.name} summarises, in turn {run.turn}")
        news, bare = (*run.transcript.news, request), self._brief_for(reserved.model, bare=True)
        response = await self._call(reserved, bare, news)
        run.transcript.named(response.head, (*news, response.answer), bare.name)
        if not response.answer.text.strip():
            return None
        return CompactionMessage(
            strategy=strategy, start=plan.start, end=plan.end, summary=response.answer.text
        )

    async def _call(self, reserved: _Reserved, named: _NamedBrief, news: Sequence[Entry]) -> ChatResponse:
        """One call, paid for."""
        run = self._run
        run.enter("thinking")
        run.purse = run.purse.reserve(reserved.name, attempts(reserved.worst, reserved.attempts))
        run.models_used |= {reserved.model.name}
        try:
            response = await self._send(reserved, named, news)
        except BaseException as error:
            _settle_failure(run, reserved, error)
            raise
        self._settle(reserved, response)
        return response

    async def _send(self, reserved: _Reserved, named: _NamedBrief, news: Sequence[Entry]) -> ChatResponse:
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
                temperature=self._options.temperature,
                timeout=self._options.start_to_close_timeout,
                rules=self._rules_id(),
            )
            self._briefs[key] = _NamedBrief(brief, sha256_of(brief.model_dump(mode="json")))
        return self._briefs[key]

    def _rules_id(self) -> str | None:
        manifest = self._run.manifest
        return manifest.rules.id if manifest.rules and manifest.rules_in_briefs else None

    def _affordable(self, route: Sequence[ModelSpec], extra_tokens: int = 0) -> _Reserved:
        """The first model of the route whose worst case fits, and how many attempts of it do."""
        run, options = self._run, self._options
        tokens = self._brief_tokens + run.transcript.tokens + extra_tokens
        for model in route:
            worst = worst_case(model.price, tokens, options.max_output_tokens)
            if fitting := run.purse.affordable_attempts(worst, options.retry.max_attempts):
                if model is not route[0]:
                    run.metrics.fell_back(model.name)
                return _Reserved(f"chat-{run.turn}", model, worst, fitting)
        cheapest = route[-1]
        worst = worst_case(cheapest.price, tokens, options.max_output_tokens)
        raise BudgetExhausted(f"a call of {cheapest.name} does not fit: {run.purse.shortfall(worst)}")

    def _settle(self, reserved: _Reserved, response: ChatResponse) -> None:
        """Charge a call that was answered."""
        run, usage = self._run, response.usage
        spent = Spend(
            cost_usd=cost_usd(usage, reserved.model.price),
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            model_calls=1,
        )
        # Attempts before this one died unheard; the provider may have billed them.
        died = min(response.attempt - 1, reserved.attempts)
        unheard = attempts(reserved.worst, died).model_copy(update={"model_calls": 0})
        run.purse = run.purse.settle(reserved.name, spent + unheard, possibly_billed_usd=unheard.cost_usd)
        if usage.input_tokens:
            run.measured = (usage.input_tokens, reserved.worst.input_tokens)
        run.log.debug(
            "model answered",
            turn=run.turn,
            model=response.response_model or reserved.model.name,
            cost_usd=str(spent.cost_usd),
            tool_calls=len(response.answer.tool_calls),
        )


def _settle_failure(run: Run, reserved: _Reserved, error: BaseException) -> None:
    """A failed call stays charged, as the provider may have billed it; a refused one was not."""
    made = reserved.attempts
    if isinstance(error, ActivityError) and not is_cancelled_exception(error):
        failure = failure_of(error)
        if failure.attempts == 1 and not failure.retryable:
            made = 0
    charged = attempts(reserved.worst, made)
    run.purse = run.purse.settle(reserved.name, charged, possibly_billed_usd=charged.cost_usd)
