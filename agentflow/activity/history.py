"""A run's blobs, made anew from its own history, where everything that was said is once."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import TypeVar

from pydantic import ValidationError
from temporalio import activity
from temporalio.api.common.v1 import Payload
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from agentflow.activity.transcripts import encoded_brief, encoded_node
from agentflow.contracts.messages import AssistantMessage, ToolCall
from agentflow.contracts.model import ChatRequest, ChatResponse
from agentflow.contracts.names import CHAT_ACTIVITY
from agentflow.contracts.tools import ToolResult
from agentflow.contracts.wire import Sha256
from agentflow.core.transcript import node_hash, text_hash, tool_text, written_out

T = TypeVar("T")

LOCAL_ACTIVITY = "core_local_activity"
"""Name of the marker that Temporal's SDKs record a local activity with."""


async def blobs_of_this_run(root: Sha256) -> Mapping[Sha256, bytes]:
    """The blobs of the run that the activity is of, read through the worker's client.

    Raises:
        RPCError: Temporal can't be reached.
    """
    info = activity.info()
    return await blobs_from_history(
        activity.client(), root, info.workflow_id or "", info.workflow_run_id or ""
    )


async def blobs_from_history(
    client: Client, root: Sha256, workflow_id: str, run_id: str
) -> Mapping[Sha256, bytes]:
    """Every node, text and brief of a run, by name, from all executions of its chain.

    Args:
        client: With the data converter that the run's payloads were made with.
        root: Names the run.
        workflow_id: Of the run.
        run_id: Of its latest execution. Earlier ones that Temporal no longer keeps are left out.

    Raises:
        RPCError: Temporal can't be reached.
    """
    blobs: dict[Sha256, bytes] = {}
    place: str | None = run_id
    while place:
        execution = _Execution(root, client.data_converter, blobs)
        try:
            async for event in _events(client, workflow_id, place):
                await execution.take(event)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
        place = execution.continued_from
    return blobs


async def blobs_of_events(
    converter: DataConverter, root: Sha256, executions: Iterable[Sequence[HistoryEvent]]
) -> Mapping[Sha256, bytes]:
    """Every node, text and brief of a run, by name, from events that somebody has read already.

    Args:
        converter: That the run's payloads were made with.
        root: Names the run.
        executions: Their events.
    """
    blobs: dict[Sha256, bytes] = {}
    for events in executions:
        execution = _Execution(root, converter, blobs)
        for event in events:
            await execution.take(event)
    return blobs


async def _events(client: Client, workflow_id: str, run_id: str) -> AsyncIterator[HistoryEvent]:
    handle = client.get_workflow_handle(workflow_id, run_id=run_id)
    async for event in handle.fetch_history_events():
        yield event


class _Execution:
    """Reads the events of one execution, in order, and puts what it finds with the rest."""

    def __init__(self, root: Sha256, converter: DataConverter, blobs: dict[Sha256, bytes]) -> None:
        self.continued_from: str | None = None
        """Run id of the execution before this one."""
        self._root = root
        self._converter = converter
        self._blobs = blobs
        self._chats: dict[int, ChatRequest] = {}
        """By the id of the event that scheduled them."""
        self._briefs: dict[Sha256 | None, Sha256] = {}
        """Names of the briefs that nodes were answered with. Each execution names its first one."""
        self._calls: dict[Sha256 | None, tuple[ToolCall, ...]] = {}
        """What nodes' answers asked for. What comes first in an execution is written out."""

    async def take(self, event: HistoryEvent) -> None:
        """Look at one event."""
        match event.WhichOneof("attributes"):
            case "workflow_execution_started_event_attributes":
                started = event.workflow_execution_started_event_attributes
                self.continued_from = started.continued_execution_run_id or None
            case "activity_task_scheduled_event_attributes":
                scheduled = event.activity_task_scheduled_event_attributes
                if scheduled.activity_type.name == CHAT_ACTIVITY:
                    await self._take_request(event.event_id, scheduled.input.payloads)
            case "activity_task_completed_event_attributes":
                completed = event.activity_task_completed_event_attributes
                await self._take_result(completed.scheduled_event_id, completed.result.payloads)
            case "marker_recorded_event_attributes":
                marker = event.marker_recorded_event_attributes
                if marker.marker_name == LOCAL_ACTIVITY:
                    await self._take_tool_result(marker.details["result"].payloads)
            case _:
                pass

    async def _take_request(self, event_id: int, payloads: Sequence[Payload]) -> None:
        request = await self._decoded(payloads, ChatRequest)
        if request is None:
            return
        self._chats[event_id] = request
        if request.brief and request.brief_in_full:
            self._blobs[request.brief] = encoded_brief(request.brief_in_full)

    async def _take_result(self, scheduled_event_id: int, payloads: Sequence[Payload]) -> None:
        request = self._chats.pop(scheduled_event_id, None)
        if request is None:
            await self._take_tool_result(payloads)
        elif response := await self._decoded(payloads, ChatResponse):
            self._add_node(request, response.answer)

    def _add_node(self, request: ChatRequest, answer: AssistantMessage) -> None:
        brief = request.brief or self._briefs.get(request.parent)
        calls = self._calls.get(request.parent, ())
        if brief is None or len(request.results) > len(calls):
            return
        node = (*written_out(request.results, calls, request.messages), answer)
        name = node_hash(self._root, request.parent, node, brief)
        self._briefs[name], self._calls[name] = brief, answer.tool_calls
        self._blobs[name] = encoded_node(request.parent, brief, node)

    async def _take_tool_result(self, payloads: Sequence[Payload]) -> None:
        result = await self._decoded(payloads, ToolResult)
        if result is not None:
            text = tool_text(result)
            self._blobs[text_hash(text)] = text.encode(errors="replace")

    async def _decoded(self, payloads: Sequence[Payload], kind: type[T]) -> T | None:
        """The value, or ``None``: other activities answer other things."""
        try:
            values: list[T] = await self._converter.decode(payloads, [kind])
        except (ApplicationError, ValidationError):
            return None
        return values[0] if values else None
