"""Reads a run's executions, event by event."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHistory
from temporalio.converter import DataConverter

from agentflow.adapters.history import outcome
from agentflow.adapters.history.calls import ACTIVITY_ENDS, Calls, manifest_facts
from agentflow.adapters.history.executions import Execution, goes_on_from, run_begun_by, started
from agentflow.adapters.history.finding import Finding, document, time_of, told
from agentflow.adapters.history.payloads import Payloads
from agentflow.adapters.history.people import People
from agentflow.adapters.history.requester import Begun
from agentflow.adapters.history.spent import spent_in
from agentflow.adapters.history.story import Place, Story
from agentflow.contracts.audit import RecordKind
from agentflow.contracts.manifest import Manifest
from agentflow.contracts.wire import Json
from agentflow.core.state_parts import is_split, joined


async def read_run(converter: DataConverter, workflow_id: str, executions: Sequence[Execution]) -> Story:
    """All that the histories of a run tell, in the order in which it happened.

    What can't be read is a finding as well, of the kind ``gap``.

    Args:
        converter: That the run's payloads need: its codec, its external storage.
        workflow_id: The run.
        executions: The first one first.
    """
    story = Story(Payloads(converter), workflow_id)
    people = People(story)
    for number, execution in enumerate(executions):
        if execution.history is None:
            _expired(story, execution, executions[number + 1 :])
        else:
            is_first = all(earlier.history is None for earlier in executions[:number])
            await _Reader(story, people, execution.run_id, is_first=is_first).read(execution.history)
    if story.is_agent and (end := story.findings[-1:]) and end[0].kind == "ended":
        # An outcome says it itself.
        spent = await spent_in(converter, executions)
        end[0].facts["cost_usd"] = str(spent.cost_usd)
        if spent.possibly_billed_usd:
            end[0].facts["possibly_billed_usd"] = str(spent.possibly_billed_usd)
    if story.begun is not None:
        story.begun.tell(story.manifest)
    return story


def _expired(story: Story, execution: Execution, later: Sequence[Execution]) -> None:
    known = next((each.history for each in later if each.history), None)
    # Of a run that is gone as a whole, all that is known is when somebody looked.
    at = time_of(known.events[0].event_time) if known else datetime.now(UTC)
    story.add(Finding.gap("history_expired", at, execution.run_id))


class _Reader:
    """Takes the events of one execution."""

    def __init__(self, story: Story, people: People, run_id: str, *, is_first: bool) -> None:
        self._story = story
        self._people = people
        self._calls = Calls(story)
        self._run_id = run_id
        self._is_first = is_first
        self._attempts: Mapping[int, int] = {}
        self._split: tuple[Place, dict[str, Any]] | None = None
        """Where the execution took up a state of which parts are elsewhere, and what there is of it."""

    async def read(self, history: WorkflowHistory) -> None:
        self._attempts = {
            event.activity_task_started_event_attributes.scheduled_event_id: (
                event.activity_task_started_event_attributes.attempt
            )
            for event in history.events
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED
        }
        first = started(history)
        self._story.workflow_type = self._story.workflow_type or first.workflow_type.name
        self._story.first_run_id = self._story.first_run_id or run_begun_by(first) or self._run_id
        for event in history.events:
            await self._take(event)
        if self._split is not None:
            place, carried = self._split
            try:
                whole = joined(carried, self._calls.state_texts)
            except ValueError:
                self._story.gap("unknown_schema", place, of="carried state")
            else:
                outcome.taken_along(self._story, place, whole, is_first=self._is_first)

    async def _take(self, event: HistoryEvent) -> None:
        which = str(event.WhichOneof("attributes"))
        attributes = getattr(event, which)
        place = Place(self._run_id, event.event_id, time_of(event.event_time))
        match which:
            case "workflow_execution_started_event_attributes":
                await self._started(place, attributes)
            case "activity_task_scheduled_event_attributes":
                await self._calls.scheduled(place, attributes, self._attempts.get(event.event_id, 1))
            case "marker_recorded_event_attributes":
                await self._calls.marker(place, attributes)
            case "workflow_execution_completed_event_attributes":
                await outcome.completed(self._story, place, attributes)
            case _ if which in ACTIVITY_ENDS:
                await self._calls.ended(place, which, attributes)
            case _ if which in outcome.ENDS:
                outcome.ended(self._story, place, which, attributes)
            case _:
                await self._from_outside(place, which, attributes)

    async def _from_outside(self, place: Place, which: str, attributes: Any) -> None:
        match which:
            case "workflow_execution_signaled_event_attributes":
                await self._people.signalled(place, attributes)
            case "workflow_execution_update_accepted_event_attributes":
                await self._people.accepted(place, attributes)
            case "workflow_execution_update_completed_event_attributes":
                self._people.completed(place, attributes)
            case "workflow_properties_modified_event_attributes":
                await self._people.memo(place, attributes.upserted_memo.fields)
            case _:
                self._about_executions(place, which, attributes)

    def _about_executions(self, place: Place, which: str, attributes: Any) -> None:
        match which:
            case "start_child_workflow_execution_initiated_event_attributes":
                facts = {"workflow": attributes.workflow_id, "workflow_type": attributes.workflow_type.name}
                self._add("child", place, facts)
            case "workflow_execution_cancel_requested_event_attributes":
                self._add(
                    "cancel_requested", place, told(by=attributes.identity), told(cause=attributes.cause)
                )
            case "workflow_task_failed_event_attributes" if attributes.new_run_id:
                # Somebody reset the run: it was done again from here on.
                facts = {"from": attributes.base_run_id, "to": attributes.new_run_id}
                self._add("reset", place, {**facts, **told(by=attributes.identity)})
            case _:
                pass

    async def _started(self, place: Place, attributes: Any) -> None:
        task = await self._story.value(attributes.input.payloads, place, "task")
        given = document(task)
        carried = document(given.get("carried"))
        if before := attributes.continued_execution_run_id:
            self._add("continued", place, {"from": before})
        if self._is_first:
            facts = told(
                workflow_type=attributes.workflow_type.name,
                sent_by=attributes.identity,
                **{name: given.get(name) for name in ("requested_by", "tenant", "customer_tier", "budget")},
            )
            finding = self._add("started", place, facts, told(input=given.get("input") if given else task))
            self._story.begun = Begun(
                finding,
                given,
                attributes.workflow_type.name,
                place.at,
                {name: payload.data for name, payload in attributes.header.fields.items()},
                is_first=not goes_on_from(attributes),
                carried=carried.get("requester"),
            )
        if carried:
            self._carried(place, carried)
        if is_split(carried):
            # The rest of it is in the execution's first activities.
            self._split = place, carried
        else:
            outcome.taken_along(self._story, place, carried, is_first=self._is_first)

    def _carried(self, place: Place, carried: dict[str, Any]) -> None:
        """The manifest comes along; the first execution may have expired."""
        try:
            manifest = Manifest.model_validate(carried.get("manifest"))
        except ValueError:
            self._story.gap("unknown_schema", place, of="carried manifest")
            return
        is_new = self._story.manifest != manifest
        self._story.manifest, self._story.is_agent = manifest, True
        if is_new:
            self._add("manifest", place, {**manifest_facts(manifest), "state": "carried"})

    def _add(
        self, kind: RecordKind, place: Place, facts: dict[str, Json], contents: dict[str, Json] | None = None
    ) -> Finding:
        return self._story.add(
            Finding(kind, place.at, place.execution, place.event, facts=facts, contents=contents or {})
        )
