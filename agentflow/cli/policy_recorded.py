"""The calls of recorded runs, out of their histories."""

import json
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowHistory

from agentflow.adapters.history.finding import document, time_of
from agentflow.cli.exits import misused
from agentflow.cli.histories import RecordedRun
from agentflow.cli.policy_agents import PolicyAgent
from agentflow.cli.policy_cases import Case, CaseContext, EarlierCall
from agentflow.contracts.budget import Spend
from agentflow.contracts.manifest import Manifest
from agentflow.contracts.names import LOAD_STATE_ACTIVITY, RESOLVE_MANIFEST_ACTIVITY
from agentflow.contracts.requester import Requester
from agentflow.contracts.tools import ToolInvocation, ToolResult
from agentflow.contracts.wire import Json
from agentflow.core.answer import describe_errors
from agentflow.core.requester import Start, requester_of
from agentflow.core.state_parts import is_split, joined


def recorded_cases(run: RecordedRun, agent: PolicyAgent) -> list[Case]:
    """The tool calls of a run that were carried out, each in the context that it was made in.

    Expected is what was decided then. Calls that were denied left no activity, and aren't among them. What
    the run had spent is only known as its number of calls.

    Raises:
        CommandFailed: the history is encoded, or isn't of an agent.
    """
    try:
        return list(_cases(run, agent))
    except ValidationError as error:
        raise misused(f"{run.source} can't be read as a run of an agent: {describe_errors(error)}") from None


def _cases(run: RecordedRun, agent: PolicyAgent) -> Iterator[Case]:
    started = run.history.events[0].workflow_execution_started_event_attributes
    task = _json(run, started.input.payloads[0])
    manifest = _manifest(run, task)
    results = _results(run)
    past = [EarlierCall.model_validate(call) for call in _carried(run, task)]
    for number, (event_id, tool, payload) in enumerate(_scheduled(run.history), start=1):
        if tool not in agent.catalog.contracts:
            continue
        invocation = ToolInvocation.model_validate(_json(run, payload))
        asked = invocation.decision.granted_by or invocation.decision.quorum
        yield Case(
            name=f"{started.workflow_id or run.source} call {number}",
            tool=tool,
            arguments=invocation.arguments,
            expect="ask" if asked else "allow",
            rule=invocation.decision.rule,
            context=CaseContext(
                tier=manifest.tier,
                tenant=task.get("tenant", "default"),
                customer_tier=task.get("customer_tier", "standard"),
                requested_by=task["requested_by"],
                requester_verified=_is_verified(run, task, manifest),
                task_input=task["input"],
                model=manifest.models[0].name if manifest.models else "",
                model_proven=bool(manifest.models)
                and manifest.models[0].name in manifest.release.proven_models,
                spend=Spend(tool_calls=number - 1),
                past_calls=tuple(past),
            ),
        )
        result = results.get(event_id)
        if result is not None and result.error is None:
            past.append(EarlierCall(tool=tool, arguments=invocation.arguments, output=result.output))


def _is_verified(run: RecordedRun, task: dict[str, Json], manifest: Manifest) -> bool:
    """Whether the run's rules were told that it is verified who asked."""
    first = run.history.events[0]
    started = first.workflow_execution_started_event_attributes
    if carried := document(task.get("carried")):
        return bool(document(carried.get("requester")).get("proof"))
    start = Start(
        started.workflow_type.name,
        manifest.root,
        time_of(first.event_time),
        is_first=not started.continued_execution_run_id,
        headers={name: payload.data for name, payload in started.header.fields.items()},
    )
    found = requester_of(task, start, manifest.requesters)
    return isinstance(found, Requester) and found.proof is not None


def _carried(run: RecordedRun, task: Json) -> Iterator[dict[str, Json]]:
    carried: dict[str, Any] = task.get("carried") or {}
    if is_split(carried):
        try:
            carried = joined(carried, list(_state_texts(run)))
        except ValueError as error:
            raise misused(f"{run.source}: what the run took along can't be read: {error}") from None
    calls: list[dict[str, Json]] = carried.get("past_calls", [])
    for call in calls:
        yield {name: call[name] for name in ("tool", "arguments", "output") if name in call}


def _state_texts(run: RecordedRun) -> Iterator[str]:
    """Parts of the state that the run took up, in order."""
    asked = {event_id for event_id, activity, _ in _scheduled(run.history) if activity == LOAD_STATE_ACTIVITY}
    for event in run.history.events:
        completed = event.activity_task_completed_event_attributes
        if completed.scheduled_event_id in asked:
            yield str(document(_json(run, completed.result.payloads[0])).get("text"))


def _scheduled(history: WorkflowHistory) -> Iterator[tuple[int, str, Payload]]:
    for event in history.events:
        if event.HasField("activity_task_scheduled_event_attributes"):
            attributes = event.activity_task_scheduled_event_attributes
            if attributes.input.payloads:
                yield event.event_id, attributes.activity_type.name, attributes.input.payloads[0]


def _results(run: RecordedRun) -> dict[int, ToolResult]:
    """Tool results, by the event that scheduled them."""
    found: dict[int, ToolResult] = {}
    for event in run.history.events:
        if event.HasField("activity_task_completed_event_attributes"):
            attributes = event.activity_task_completed_event_attributes
            for payload in attributes.result.payloads:
                value = _json(run, payload)
                if isinstance(value, dict) and "head" not in value:
                    try:
                        found[attributes.scheduled_event_id] = ToolResult.model_validate(value)
                    except ValidationError:
                        continue  # another activity's
    return found


def _manifest(run: RecordedRun, task: Json) -> Manifest:
    if carried := task.get("carried"):
        return Manifest.model_validate(carried["manifest"])
    for event in run.history.events:
        details = event.marker_recorded_event_attributes.details
        if RESOLVE_MANIFEST_ACTIVITY in str(details.get("data", "")):
            return Manifest.model_validate(_json(run, details["result"].payloads[0]))
    raise misused(f"{run.source} has no manifest: the run did not get that far, or is of no agent")


def _json(run: RecordedRun, payload: Payload) -> Any:
    encoding = payload.metadata.get("encoding", b"").decode(errors="replace")
    if encoding == "binary/null":
        # An activity that answers nothing.
        return None
    try:
        value: Any = json.loads(payload.data)
    except ValueError:
        raise misused(
            f"{run.source}: a payload is {encoding or 'encoded'} and no JSON: decode the history first"
        ) from None
    return value
