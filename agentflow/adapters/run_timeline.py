"""Reads a run's timeline from Temporal's history alone: no worker is asked."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowHistory

from agentflow.contracts import names
from agentflow.contracts.approval import ApprovalRequest
from agentflow.contracts.model import Brief, ChatRequest, ChatResponse
from agentflow.contracts.timeline import Step, StepKind, StepState, Timeline
from agentflow.contracts.tools import ToolInvocation, ToolResult
from agentflow.contracts.wire import Json
from agentflow.core.pricing import cost_usd

MAX_CHILD_DEPTH = 5
MAX_EXECUTIONS = 1_000
_ENDS: dict[str, StepState] = {
    "workflow_execution_completed_event_attributes": "done",
    "workflow_execution_failed_event_attributes": "failed",
    "workflow_execution_timed_out_event_attributes": "failed",
    "workflow_execution_terminated_event_attributes": "cancelled",
    "workflow_execution_canceled_event_attributes": "cancelled",
}
_ACTIVITY_ENDS: dict[str, StepState] = {
    "activity_task_completed_event_attributes": "done",
    "activity_task_failed_event_attributes": "failed",
    "activity_task_timed_out_event_attributes": "failed",
    "activity_task_canceled_event_attributes": "cancelled",
}


_Key = tuple[int, int]
"""Of a step: the event that began it, and its number among those that the event began."""


class Histories:
    """Histories that were read, for whoever looks again: what has not grown since is not read again."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._read: dict[str, WorkflowHistory] = {}

    async def of(self, workflow_id: str) -> list[WorkflowHistory]:
        """The histories of a run's executions, the first one first, as far as the server still has them.

        Raises:
            temporalio.service.RPCError: there is no such run, or the server can't be reached.
        """
        described = await self._client.get_workflow_handle(workflow_id).describe()
        run_id = described.raw_description.workflow_execution_info.first_run_id or described.run_id
        found: list[WorkflowHistory] = []
        while run_id and len(found) < MAX_EXECUTIONS:
            history = self._read.get(run_id)
            is_last = run_id == described.run_id
            # One that another execution followed grows no more.
            if history is None or (is_last and len(history.events) < described.history_length):
                handle = self._client.get_workflow_handle(workflow_id, run_id=run_id)
                history = self._read[run_id] = await handle.fetch_history()
            found.append(history)
            run_id = _next_run(history)
        return found


async def executions_of(client: Client, workflow_id: str) -> list[WorkflowHistory]:
    """The histories of a run's executions; see ``Histories``."""
    return await Histories(client).of(workflow_id)


async def timeline_of(
    client: Client,
    workflow_id: str,
    *,
    content: bool = False,
    depth: int = MAX_CHILD_DEPTH,
    histories: Histories | None = None,
) -> Timeline:
    """A run's timeline.

    Args:
        client: With the data converter that the run's payloads need.
        workflow_id: The run.
        content: Whether what was said is in it.
        depth: How many levels of child runs to follow.
        histories: What looks before this one have read.

    Raises:
        temporalio.service.RPCError: there is no such run, or the server can't be reached.
    """
    histories = histories or Histories(client)
    found = await histories.of(workflow_id)
    reader = _Reader(client, content=content)
    for history in found:
        await reader.read(history)
    children = [
        await timeline_of(client, child, content=content, depth=depth - 1, histories=histories)
        for child in reader.children
        if depth > 0
    ]
    return Timeline(
        workflow_id=workflow_id,
        workflow_type=reader.workflow_type,
        executions=len(found),
        is_open=reader.is_open,
        steps=tuple(sorted(reader.steps.values(), key=lambda step: step.at)),
        children=tuple(children),
    )


class _Reader:
    """Takes the events of one run, one after the other."""

    def __init__(self, client: Client, *, content: bool) -> None:
        self._client = client
        self._content = content
        self._brief: Brief | None = None
        self._briefs: dict[str, Brief] = {}
        self._offset = 0
        self._approvals: dict[str, _Key] = {}
        self.workflow_type: str = ""
        self.is_open: bool = True
        self.steps: dict[_Key, Step] = {}
        self.children: list[str] = []

    async def read(self, history: WorkflowHistory) -> None:
        """Take an execution."""
        attempts = dict(_attempts(history))
        for event in history.events:
            which = str(event.WhichOneof("attributes"))
            await self._take(event, which, getattr(event, which), attempts)
        # Events of the next execution are numbered anew.
        self._offset += len(history.events) + 1

    async def _take(
        self, event: HistoryEvent, which: str, attributes: Any, attempts: Mapping[int, int]
    ) -> None:
        key, at = (self._offset + event.event_id, 0), _time(event.event_time)
        if which == "workflow_execution_started_event_attributes":
            await self._started(key, at, attributes)
        elif which == "activity_task_scheduled_event_attributes":
            await self._scheduled(key, at, attributes, attempts.get(event.event_id, 1))
        elif which in _ACTIVITY_ENDS:
            await self._activity_ended(at, attributes, _ACTIVITY_ENDS[which])
        elif which == "marker_recorded_event_attributes":
            await self._marker(key, at, attributes)
        elif which == "workflow_properties_modified_event_attributes":
            await self._memo(key, at, attributes.upserted_memo.fields)
        elif which in _ENDS:
            self.is_open = False
            result = attributes.result.payloads if _ENDS[which] == "done" else ()
            self._ended(key, at, await self._value(result), _ENDS[which])
        else:
            await self._from_outside(key, at, which, attributes)

    async def _started(self, key: _Key, at: datetime, attributes: Any) -> None:
        task = await self._value(attributes.input.payloads)
        if not self.steps:
            self.workflow_type = attributes.workflow_type.name
            given = _document(task)
            who = f"for {given.get('requested_by', '?')}, tenant {given.get('tenant', 'default')}"
            self._add(key, at, "started", self.workflow_type, detail=who, content=given.get("input"))
        else:
            self._add(key, at, "continued", "continued as new")

    async def _scheduled(self, key: _Key, at: datetime, attributes: Any, attempts: int) -> None:
        kind = attributes.activity_type.name
        given = await self._value(attributes.input.payloads)
        if kind == names.CHAT_ACTIVITY:
            brief = self._brief_of(given)
            name = brief.model.name if brief else "model"
            self._add(key, at, "model", name, state="open", attempts=attempts)
            return
        try:
            invocation = ToolInvocation.model_validate(given)
        except ValidationError:
            self._add(key, at, "other", kind, state="open", attempts=attempts)
            return
        decision = invocation.decision
        by = f", granted by {', '.join(decision.granted_by)}" if decision.granted_by else ""
        detail = f"rule {decision.rule}{by}"
        self._add(
            key,
            at,
            "tool",
            kind,
            state="open",
            detail=detail,
            attempts=attempts,
            content=invocation.arguments,
        )

    async def _activity_ended(self, at: datetime, attributes: Any, state: StepState) -> None:
        key = (self._offset + attributes.scheduled_event_id, 0)
        step = self.steps.get(key)
        if step is None:
            return
        changes: dict[str, Any] = {"state": state, "seconds": (at - step.at).total_seconds()}
        if state == "done":
            changes |= self._result_of(step, await self._value(attributes.result.payloads))
        elif state == "failed":
            failure = attributes.failure
            kind = failure.application_failure_info.type or failure.WhichOneof("failure_info") or "failure"
            changes["detail"] = "; ".join(part for part in (step.detail, f"failed: {kind}") if part)
        self.steps[key] = step.model_copy(update=changes)

    def _result_of(self, step: Step, value: Json) -> dict[str, Any]:
        try:
            if step.kind == "model":
                response = ChatResponse.model_validate(value)
                return self._answer(step, response)
            if step.kind == "tool":
                return self._tool_result(step, ToolResult.model_validate(value))
        except ValidationError:
            # Of a version that wrote it otherwise: that it ended is known.
            pass
        return {}

    def _answer(self, step: Step, response: ChatResponse) -> dict[str, Any]:
        said = response.answer
        wanted = ", ".join(call.tool for call in said.tool_calls)
        changes: dict[str, Any] = {
            "detail": f"wants {wanted}" if wanted else f"answers ({response.finish_reason})",
            "input_tokens": response.usage.input_tokens,
            "output_tokens": response.usage.output_tokens,
        }
        if self._brief:
            changes["cost_usd"] = cost_usd(response.usage, self._brief.model.price)
        if self._content:
            changes["content"] = said.model_dump(mode="json", exclude_defaults=True)
        return changes

    def _tool_result(self, step: Step, result: ToolResult) -> dict[str, Any]:
        ended = (
            f"{result.error.kind}" if result.error else "replayed from the ledger" if result.replayed else ""
        )
        changes: dict[str, Any] = {"detail": "; ".join(part for part in (step.detail, ended) if part)}
        if result.error:
            changes["state"] = "failed"
        if self._content:
            changes["content"] = {"arguments": step.content, "output": result.output}
            if result.error:
                changes["content"]["error"] = result.error.message
        return changes

    async def _marker(self, key: _Key, at: datetime, attributes: Any) -> None:
        """Local activities: the manifest, and local reads."""
        details = attributes.details
        if "data" not in details:
            return
        kind = _document(await self._value(details["data"].payloads)).get("activity_type")
        if kind is None:
            return
        value = _document(await self._value(details["result"].payloads)) if "result" in details else {}
        state: StepState = "failed" if attributes.HasField("failure") else "done"
        if kind == names.RESOLVE_MANIFEST_ACTIVITY:
            detail = f"release {value.get('release_id', '')}"
            self._add(key, at, "other", "manifest", state=state, detail=detail)
            return
        self._add(key, at, "tool", str(kind), state=state, detail="local", content=value.get("output"))

    async def _memo(self, key: _Key, at: datetime, fields: Mapping[str, Payload]) -> None:
        """Approvals as they come and go."""
        if names.APPROVALS_MEMO not in fields:
            return
        listed = await self._value([fields[names.APPROVALS_MEMO]])
        try:
            pending = {one.id: one for one in map(ApprovalRequest.model_validate, listed or ())}
        except ValidationError:
            return
        for number, (name, request) in enumerate(pending.items()):
            if name not in self._approvals:
                # Several may come in one event.
                place = self._approvals[name] = (key[0], number)
                detail, said = f"{name}, rule {request.rule}", request.arguments
                self._add(place, at, "approval", request.tool, state="open", detail=detail, content=said)
        for name in [name for name in self._approvals if name not in pending]:
            place = self._approvals.pop(name)
            step = self.steps[place]
            self.steps[place] = step.model_copy(
                update={"state": "done", "seconds": (at - step.at).total_seconds()}
            )

    async def _from_outside(self, key: _Key, at: datetime, which: str, attributes: Any) -> None:
        if which == "workflow_execution_signaled_event_attributes":
            said = await self._value(attributes.input.payloads)
            self._add(key, at, "signal", attributes.signal_name, detail=_by(said))
        elif which == "workflow_execution_update_accepted_event_attributes":
            given = attributes.accepted_request.input
            if given.name == names.DECIDE_UPDATE:
                said = await self._value(given.args.payloads)
                verdict = str(_document(said).get("verdict") or given.name)
                self._add(key, at, "update", verdict, detail=_by(said))
        elif which == "start_child_workflow_execution_initiated_event_attributes":
            self.children.append(attributes.workflow_id)
            self._add(key, at, "child", attributes.workflow_type.name, detail=attributes.workflow_id)
        elif which == "workflow_execution_cancel_requested_event_attributes":
            self._add(key, at, "signal", "cancel", detail=attributes.cause)

    def _ended(self, key: _Key, at: datetime, outcome: Json, state: StepState) -> None:
        given = _document(outcome)
        name = str(given.get("status") or state)
        self._add(
            key,
            at,
            "ended",
            name,
            state=state,
            detail=str(given.get("reason") or ""),
            content=given.get("output"),
        )

    def _add(
        self,
        key: _Key,
        at: datetime,
        kind: StepKind,
        name: str,
        *,
        state: StepState = "done",
        detail: str = "",
        attempts: int = 1,
        content: Json = None,
    ) -> None:
        self.steps[key] = Step(
            at=at,
            kind=kind,
            name=name,
            state=state,
            detail=detail,
            attempts=attempts,
            content=content if self._content else None,
        )

    def _brief_of(self, given: Json) -> Brief | None:
        """What a model was asked under: it is in history in full once, and by its name after that."""
        try:
            request = ChatRequest.model_validate(given)
        except ValidationError:
            return self._brief
        if request.brief_in_full and request.brief:
            self._briefs[request.brief] = request.brief_in_full
        self._brief = self._briefs.get(request.brief, self._brief) if request.brief else self._brief
        return self._brief

    async def _value(self, payloads: Sequence[Payload]) -> Any:
        """A payload as JSON; its codec and storage are the client's. ``None`` for what can't be read."""
        if not payloads:
            return None
        try:
            decoded = await self._client.data_converter.decode([payloads[0]])
            return decoded[0]
        except Exception:
            # Encoded by somebody else, or lost: the rest of the timeline is worth showing.
            try:
                return json.loads(payloads[0].data)
            except ValueError:
                return None


def _attempts(history: WorkflowHistory) -> Iterator[tuple[int, int]]:
    for event in history.events:
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
            started = event.activity_task_started_event_attributes
            yield started.scheduled_event_id, started.attempt


def _next_run(history: WorkflowHistory) -> str:
    last = history.events[-1]
    return last.workflow_execution_continued_as_new_event_attributes.new_execution_run_id


def _by(said: Json) -> str:
    """Who sent it, and about what, if it says so."""
    given = _document(said)
    parts = [str(given[key]) for key in ("approval_id", "escalation_id", "action") if given.get(key)]
    return " ".join([*parts, *([f"by {given['by']}"] if given.get("by") else [])])


def _document(value: Json) -> dict[str, Any]:
    """An object; of anything else, an empty one."""
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def _time(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(tzinfo=UTC)
