"""The ``chat`` activity: rebuild the conversation, call the model, keep its answer."""

from opentelemetry import trace
from temporalio import activity

from agentflow.activity.answers import AnswerStore, call_key
from agentflow.activity.failures import to_application_error
from agentflow.activity.heartbeat import heartbeating
from agentflow.activity.transcripts import TranscriptStore
from agentflow.contracts.messages import Message
from agentflow.contracts.model import ChatRequest, ChatResponse, ModelAnswer, ModelCall
from agentflow.contracts.names import CHAT_ACTIVITY
from agentflow.contracts.wire import Sha256
from agentflow.core.transcript import node_hash
from agentflow.errors import BlobMissingError
from agentflow.ports.model import ModelClient
from agentflow.telemetry import semconv

_TRACER = trace.get_tracer("agentflow")


class ChatActivity:
    """Calls models for all runs of a worker."""

    def __init__(self, client: ModelClient, transcripts: TranscriptStore, answers: AnswerStore) -> None:
        self._client = client
        self._transcripts = transcripts
        self._answers = answers

    @activity.defn(name=CHAT_ACTIVITY)
    async def chat(self, request: ChatRequest) -> ChatResponse:
        """Answer what is new since the parent node.

        Raises:
            ApplicationError: retryable for 429, 5xx, time-outs and lost connections; otherwise not.
        """
        try:
            async with heartbeating():
                return await self._chat(request)
        except Exception as error:
            raise to_application_error(error) from None

    async def _chat(self, request: ChatRequest) -> ChatResponse:
        before = await self._before(request)
        news = await self._transcripts.resolve(request.root, request.messages)
        name = call_key(request, activity.info().workflow_run_id or "")
        if kept := await self._answers.get(request.root, name):
            # The attempt that got it died before Temporal heard of it. It says which one that was.
            await self._transcripts.extend(request.root, request.parent, before, (*news, kept.message))
            return kept
        answer = await self._call(request, (*before, *news), name)
        response = ChatResponse(
            message=answer.message,
            usage=answer.usage,
            head=node_hash(request.root, request.parent, (*news, answer.message)),
            response_model=answer.response_model,
            finish_reason=answer.finish_reason,
            attempt=activity.info().attempt,
        )
        # First of all: what has been paid for is kept before anything else can fail.
        await self._answers.put(request.root, name, response)
        await self._transcripts.extend(request.root, request.parent, before, (*news, answer.message))
        return response

    async def _before(self, request: ChatRequest) -> tuple[Message, ...]:
        if request.ancestors:
            restored = await self._transcripts.restore(request.root, request.ancestors)
            if restored != request.parent:
                raise BlobMissingError("the conversation that was sent in full is not the parent's")
        return await self._transcripts.load(request.root, request.parent)

    async def _call(self, request: ChatRequest, messages: tuple[Message, ...], key: Sha256) -> ModelAnswer:
        info = activity.info()
        call = ModelCall(
            model=request.model,
            instructions=request.instructions,
            messages=messages,
            tools=request.tools,
            output_schema=request.output_schema,
            output_name=request.output_name,
            max_output_tokens=request.max_output_tokens,
            temperature=request.temperature,
            timeout=request.timeout,
            idempotency_key=key,
        )
        with _TRACER.start_as_current_span(f"{semconv.CHAT} {request.model.name}") as span:
            span.set_attributes(
                {
                    semconv.OPERATION_NAME: semconv.CHAT,
                    semconv.PROVIDER_NAME: request.model.name.partition(":")[0],
                    semconv.REQUEST_MODEL: request.model.name.partition(":")[2],
                    semconv.CONVERSATION_ID: info.workflow_id or "",
                    semconv.ATTEMPT: info.attempt,
                }
            )
            answer = await self._client.chat(call)
            span.set_attributes(
                {
                    semconv.RESPONSE_MODEL: answer.response_model,
                    semconv.RESPONSE_FINISH_REASONS: [answer.finish_reason],
                    semconv.INPUT_TOKENS: answer.usage.input_tokens,
                    semconv.OUTPUT_TOKENS: answer.usage.output_tokens,
                }
            )
        return answer
