"""A model that answers as it did when it was asked the same, in the run that is done again."""

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from temporalio.converter import DataConverter

from agentflow.activity.history import blobs_of_events
from agentflow.activity.marks import MarksOfBriefs
from agentflow.activity.transcripts import TranscriptStore
from agentflow.adapters.history.executions import Execution
from agentflow.adapters.memory_blobs import MemoryBlobStore
from agentflow.contracts.messages import Message
from agentflow.contracts.model import Brief, ChatRequest, ChatResponse, ModelAnswer, ModelCall
from agentflow.contracts.names import CHAT_ACTIVITY
from agentflow.contracts.wire import Json, Sha256, sha256_of
from agentflow.core.compaction import compacted
from agentflow.core.transcript import written_out
from agentflow.errors import BlobMissingError, ModelRejectedError
from agentflow.ports.model import ModelClient


@dataclass
class RecordedModel:
    """Fulfils ``ModelClient``: the recorded answer where the same was asked, else another client's."""

    answers: defaultdict[Sha256, deque[ModelAnswer]]
    live: ModelClient | None = None
    """Asked what was not asked before; without it, that is refused."""
    recorded: int = field(default=0, init=False)
    """Calls that the record answered."""
    anew: int = field(default=0, init=False)
    """Calls that nobody had made before."""

    async def chat(self, call: ModelCall) -> ModelAnswer:
        """Answer.

        Raises:
            ModelRejectedError: it was not asked this in the run, and there is no other client.
        """
        known = self.answers[_asked_by(call)]
        if known:
            self.recorded += 1
            # A run that asks the same again gets what it got then; one that asks once more, the last answer.
            return known.popleft() if len(known) > 1 else known[0]
        self.anew += 1
        if self.live is None:
            raise ModelRejectedError(
                "the recorded run did not ask its model this, and no model may be asked now"
            )
        return await self.live.chat(call)


async def recorded_answers(
    executions: Sequence[Execution], converter: DataConverter, root: Sha256
) -> defaultdict[Sha256, deque[ModelAnswer]]:
    """What models answered in a run, by all that they were asked.

    Args:
        executions: Of the run.
        converter: That its payloads need.
        root: Names the run.
    """
    histories = [each.history for each in executions if each.history]
    blobs = await blobs_of_events(converter, root, [history.events for history in histories])

    async def rebuilt() -> dict[Sha256, bytes]:
        return dict(blobs)

    transcript = TranscriptStore(MemoryBlobStore()).of_run(root, rebuilt)
    marks, answers = MarksOfBriefs(), defaultdict[Sha256, deque[ModelAnswer]](deque)
    for history in histories:
        requests: dict[int, ChatRequest] = {}
        for event in history.events:
            scheduled = event.activity_task_scheduled_event_attributes
            if scheduled.activity_type.name == CHAT_ACTIVITY:
                (given,) = await converter.decode(scheduled.input.payloads, [ChatRequest])
                requests[event.event_id] = given
            completed = event.activity_task_completed_event_attributes
            request = requests.get(completed.scheduled_event_id)
            if request is None:
                continue
            (response,) = await converter.decode(completed.result.payloads, [ChatResponse])
            try:
                before = await transcript.load(request.parent)
                sent = await transcript.resolve(written_out(request.results, before.calls, request.messages))
                name = request.brief or before.brief
                assert name is not None  # the activity would have refused it
                brief = await transcript.brief(name, request.brief_in_full)
            except BlobMissingError:
                # Said in an execution that has expired.
                continue
            told = marks.of(name, brief)
            key = _asked(
                brief,
                [tool.model_dump() for tool in told.tools],
                told.output_schema,
                [*compacted((*before.messages, *sent))],
            )
            answers[key].append(_answer(response, brief))
    return answers


def _answer(response: ChatResponse, brief: Brief) -> ModelAnswer:
    return ModelAnswer(
        message=response.answer,
        usage=response.usage,
        response_model=response.response_model or brief.model.name.partition(":")[2],
        finish_reason=response.finish_reason,
    )


def _asked_by(call: ModelCall) -> Sha256:
    return _asked(call, [tool.model_dump() for tool in call.tools], call.output_schema, call.messages)


def _asked(
    call: ModelCall | Brief,
    tools: Sequence[Json],
    output_schema: Json,
    messages: Sequence[Message],
) -> Sha256:
    """Names all that a model is told."""
    said = [message.model_dump(mode="json") for message in messages]
    return sha256_of(
        [
            call.model.name,
            call.instructions,
            list(tools),
            output_schema,
            call.output_name,
            call.max_output_tokens,
            call.temperature,
            said,
        ]
    )
