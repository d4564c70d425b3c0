"""The ``chat`` activity: rebuild the conversation, call the model, keep its answer."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from temporalio import activity

from agentflow.activity.answers import AnswerStore, call_key
from agentflow.activity.bounded import close_unawaited
from agentflow.activity.canonical_calls import CanonicalCalls
from agentflow.activity.failures import to_application_error
from agentflow.activity.heartbeat import heartbeating
from agentflow.activity.history import blobs_of_this_run
from agentflow.activity.marks import MarksOfBriefs
from agentflow.activity.transcripts import TranscriptStore
from agentflow.contracts.budget import Usage
from agentflow.contracts.manifest import MAX_PAYLOAD_BYTES
from agentflow.contracts.messages import AssistantMessage, Entry
from agentflow.contracts.model import (
    HEAD_DIGITS,
    Brief,
    ChatRequest,
    ChatResponse,
    ModelAnswer,
    ModelCall,
    ModelPrice,
    ModelSpec,
)
from agentflow.contracts.wire import Sha256, exactly
from agentflow.core.answer_bounds import too_long, too_many_calls, with_shallow_arguments
from agentflow.core.compaction import compacted
from agentflow.core.constrained import encodable
from agentflow.core.idempotency import run_root
from agentflow.core.known_values import KnownValues
from agentflow.core.model_names import is_same_model
from agentflow.core.pricing import cost_usd, is_as_cheap
from agentflow.core.transcript import node_hash, written_out
from agentflow.errors import BlobMissingError, ModelError, ModelUnavailableError
from agentflow.ports.model import ModelClient
from agentflow.telemetry import metrics, semconv
from agentflow.telemetry.content import SpanContent
from agentflow.telemetry.logs import KNOWN
from agentflow.telemetry.spans import current_span

MAX_NAME = 200
"""Characters of a name or a word of a provider's that go into history."""
_PRICES_KEPT = 256
_TOLD_OF_UNUSED = 2_000
"""Characters of an answer's text that stay where it is not used."""
"""Of models that answer for others."""

PriceOf = Callable[[str, str], ModelPrice | None]
"""Answers the price of a model by the ``provider:model`` that was asked, and the name that answered."""
Guarding = Callable[[Sequence[Entry]], Awaitable[None]]
"""Raises ``GuardRefusedError`` for entries that a model must not see."""


class ChatActivity:
    """Calls models for all runs of a worker."""

    def __init__(
        self,
        client: ModelClient,
        transcripts: TranscriptStore,
        answers: AnswerStore,
        history: Callable[[Sha256], Awaitable[Mapping[Sha256, bytes]]] = blobs_of_this_run,
        *,
        guard: Guarding | None = None,
        content: SpanContent | None = None,
        price_of: PriceOf = lambda asked, answered: None,
        calls: CanonicalCalls | None = None,
        max_payload_bytes: int = MAX_PAYLOAD_BYTES,
    ) -> None:
        """Put the parts together.

        Args:
            client: Calls the models.
            transcripts: What was said.
            answers: Answers that earlier attempts got.
            history: Makes the blobs of the activity's run anew, given its root.
            guard: Looks at what is new before a model sees it.
            content: Puts what is said into spans.
            price_of: Knows the price of a model that answers for another one.
            calls: Makes the arguments of tool calls what the tools get.
            max_payload_bytes: The longest value that an activity may answer.
        """
        self._client = client
        self._transcripts = transcripts
        self._answers = answers
        self._history = history
        self._guard = guard
        self._content = content
        self._price_of = price_of
        self._prices: dict[tuple[str, str], ModelPrice | None] = {}
        self._calls = calls or CanonicalCalls()
        # Usage, the check of the input and the seal are sent with it.
        self._max_answer_bytes = max_payload_bytes * 19 // 20
        self._marks = MarksOfBriefs()

    async def chat(self, request: ChatRequest) -> ChatResponse:
        """Answer what is new since the parent node.

        Raises:
            ApplicationError: retryable for 429, 5xx, time-outs and lost connections; otherwise not.
        """
        sending = _Sending()
        try:
            with heartbeating():
                return await self._chat(request, sending)
        except Exception as error:
            raise to_application_error(error, unbilled=sending.was_unbilled(error)) from None

    async def _chat(self, request: ChatRequest, sending: "_Sending") -> ChatResponse:
        info = activity.info()
        KNOWN.set(KnownValues.of(request.known))
        root = run_root(info.namespace, info.workflow_id or "")
        transcript = self._transcripts.of_run(root, lambda: self._history(root))
        before = await transcript.load(request.parent)
        sent = written_out(request.results, before.calls, request.messages)
        news = await transcript.resolve(sent)
        name = request.brief or before.brief
        if name is None:
            raise BlobMissingError("a first model call must name its brief")
        brief = await transcript.brief(name, request.brief_in_full)
        key = call_key(request.parent, sent, name, info.workflow_run_id or "")
        # An attempt before this one may have got the answer, and died before Temporal heard of it.
        kept = await self._answers.get(root, key) if info.attempt > 1 else None
        response, head = kept, None
        if kept is not None:
            metrics.cache_hit("answer")
            # Attempts between may have had a worker with another store, and bought another answer.
            response = kept.model_copy(update={"attempt": max(kept.attempt, info.attempt - 1)})
        if response is None:
            if self._guard is not None:
                await self._guard(news)
            answer = await self._call(brief, name, (*before.messages, *news), key, sending)
            answer = await self._bounded(answer, brief, info.workflow_type or "")
            head = node_hash(root, request.parent, (*sent, answer.message), name)
            price = await self._other_price(brief.model, answer.response_model)
            response = _response(answer, head, asked_for=brief.model.name, price=price)
        await transcript.extend(
            request.parent,
            before.messages,
            (*sent, response.answer),
            (*news, response.answer),
            head=head,
            brief=name,
            # What has been paid for is kept before anything else can fail.
            also=None if kept else {key: self._answers.as_kept(key, response)},
        )
        return response

    async def _call(
        self,
        brief: Brief,
        name: Sha256,
        messages: tuple[Entry, ...],
        key: Sha256,
        sending: "_Sending",
    ) -> ModelAnswer:
        info, marks = activity.info(), self._marks.of(name, brief)
        call = ModelCall(
            model=brief.model,
            instructions=brief.instructions,
            messages=compacted(messages),
            tools=marks.tools,
            output_schema=marks.output_schema,
            output_name=brief.output_name,
            max_output_tokens=brief.max_output_tokens,
            temperature=brief.temperature,
            timeout=brief.timeout,
            idempotency_key=key,
        )
        provider, _, model = brief.model.name.partition(":")
        labels = {
            semconv.OPERATION_NAME: semconv.CHAT,
            semconv.PROVIDER_NAME: provider,
            semconv.REQUEST_MODEL: model,
        }
        attributes: dict[str, str | int] = {
            **labels,
            semconv.CONVERSATION_ID: info.workflow_id or "",
            semconv.RULES: brief.rules or "",
            semconv.PROMPT_HASH: name,
            semconv.ATTEMPT: info.attempt,
            semconv.ACTIVITY_ID: info.activity_id,
        }
        with current_span(f"{semconv.CHAT} {model}", attributes) as span:
            with metrics.operation(labels):
                sending.began = True
                answer = _held(await self._client.chat(call))
            metrics.tokens(answer.usage, labels)
            if self._content is not None and span.is_recording():
                known = KNOWN.get().plus(marks.in_answer(answer))
                span.set_attributes(self._content.asked(call, known))
                span.set_attributes(self._content.answered(answer, known))
            span.set_attributes(
                {
                    semconv.RESPONSE_MODEL: answer.response_model,
                    semconv.RESPONSE_FINISH_REASONS: [answer.finish_reason],
                    semconv.INPUT_TOKENS: answer.usage.input_tokens,
                    semconv.OUTPUT_TOKENS: answer.usage.output_tokens,
                    semconv.COST_USD: float(cost_usd(answer.usage, brief.model.price)),
                    **_special_tokens(answer.usage),
                }
            )
        return answer

    async def _bounded(self, answer: ModelAnswer, brief: Brief, workflow_type: str) -> ModelAnswer:
        """The answer as the run may use it: with its calls in their canonical form, or why it is none."""
        why = too_many_calls(answer.message, brief.max_tool_calls)
        message = answer.message
        if why is None:
            message = with_shallow_arguments(message)
            message = await self._calls.of(message, brief.tools, workflow_type)
            why = too_long(message, self._max_answer_bytes)
        if why is not None:
            # Nor does it get into history: it may be a payload that Temporal refuses.
            beginning = AssistantMessage(text=answer.message.text[:_TOLD_OF_UNUSED])
            return answer.model_copy(update={"message": beginning, "finish_reason": why})
        return answer.model_copy(update={"message": message})

    async def _other_price(self, asked: ModelSpec, answered: str) -> ModelPrice | None:
        """The price of the model that answered, where that is not the one that the run is pinned to.

        A version of the asked model may be dearer than the rest; another model of unknown price has none
        here, and is charged at the worst case.
        """
        if answered in ("", asked.name.partition(":")[2]) or answered in asked.answers_as:
            return None
        name = (asked.name, answered[:MAX_NAME])
        if name not in self._prices:
            if len(self._prices) >= _PRICES_KEPT:
                self._prices.clear()
            self._prices[name] = await asyncio.to_thread(self._price_of, *name)
        price = self._prices[name]
        is_same = price is not None and is_same_model(asked.name, answered)
        return None if price is None or (is_same and is_as_cheap(price, asked.price)) else price


@dataclass
class _Sending:
    """How far an attempt came on its way to the provider."""

    began: bool = False
    """Whether the model client was asked."""

    def was_unbilled(self, error: Exception) -> bool:
        """Whether an attempt was certainly not billed: it never asked, or its client is certain."""
        return not self.began or (isinstance(error, ModelError) and error.unbilled is True)


def _held(answer: object) -> ModelAnswer:
    """An answer of a model client, if it is one. It stays charged if not: a provider may have billed it.

    Raises:
        ModelUnavailableError: it is something else, or has amounts that can't be.
    """
    if held := exactly(ModelAnswer, answer):
        return held
    close_unawaited(answer)
    raise ModelUnavailableError(
        f"the model client answered {type(answer).__name__}, which is no usable ModelAnswer"
    )


def _special_tokens(usage: Usage) -> dict[str, int]:
    """Tokens that have a price of their own, where there are any."""
    told = {
        semconv.CACHE_READ_TOKENS: usage.cache_read_input_tokens,
        semconv.CACHE_WRITE_TOKENS: usage.cache_write_input_tokens,
        semconv.REASONING_TOKENS: usage.reasoning_output_tokens,
    }
    return {name: count for name, count in told.items() if count}


def _response(answer: ModelAnswer, head: Sha256, *, asked_for: str, price: ModelPrice | None) -> ChatResponse:
    # A provider's words: bounded, and without the lone surrogates that no payload can carry.
    model = encodable(answer.response_model)[:MAX_NAME]
    return ChatResponse(
        text=answer.message.text,
        tool_calls=answer.message.tool_calls,
        usage=answer.usage,
        head=head[:HEAD_DIGITS],
        response_model="" if model == asked_for.partition(":")[2] else model,
        response_price=price,
        finish_reason=encodable(answer.finish_reason)[:MAX_NAME],
        attempt=activity.info().attempt,
    )
