"""What is wrong with a run that had a deploy under it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.client import Client, WorkflowHistory
from temporalio.runtime import Runtime
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from agentflow import AgentflowPlugin
from agentflow.adapters.history.executions import Histories
from agentflow.testing.settings import TEST_MODEL, TEST_PRICE
from agentflow.workflow.definition import definition_of
from benchmarks.deploys.agent import Deployed
from benchmarks.deploys.changes import Change
from benchmarks.deploys.course import Course
from benchmarks.deploys.states import OUTPUT, SUPPLIED

MODES = ("new only", "together", "rolled back")
"""How the new release is deployed."""
FAULTS = ("nondeterminism", "lost_approvals", "double_effects", "not_as_pinned", "stuck", "task_failures")
_HARMLESS = "UNHANDLED_COMMAND"
"""A signal came with the end of a workflow task: Temporal makes the task anew."""


@dataclass(frozen=True)
class Deployment:
    """A change, and how it was deployed."""

    change: Change
    mode: str
    old: Deployed
    new: Deployed
    runtime: Runtime
    """Of what replays the histories."""


@dataclass
class Cell:
    """What came of one change in one state, deployed in one way."""

    change: str
    state: str
    mode: str
    wrong: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """What is wrong, by fault."""
    workers: set[str] = field(default_factory=set[str])
    """Which had the run."""
    seconds: float = 0.0

    def add(self, fault: str, what: str) -> None:
        """Something is wrong."""
        self.wrong.setdefault(fault, []).append(what)


async def judged(deployed: Deployment, course: Course, told: list[dict[str, Any]], client: Client) -> Cell:
    """Look at a run that has ended, or should have.

    Args:
        deployed: What was deployed under it.
        course: The run.
        told: What the model was told besides the conversation, in each call.
        client: Reads the run's histories, which are replayed on both releases.
    """
    cell = Cell(deployed.change.name, course.state.name, deployed.mode)
    histories = [one.history for one in await Histories(client).of(course.id) if one.history]
    _judge_tasks(cell, course, histories)
    for release in (deployed.old, deployed.new):
        await _judge_replay(cell, release, histories, deployed.runtime)
    for refusal in course.refusals:
        cell.add("lost_approvals", refusal)
    for what, times in course.outside.effects[course.id].items():
        if times > 1:
            cell.add("double_effects", f"{what}: {times} times")
    if course.outcome is None:
        cell.add("stuck", course.failure or f"no end; asked: {course.escalations}")
        return cell
    for what in _other_than_pinned(deployed, course, told):
        cell.add("not_as_pinned", what)
    done = course.outside.effects[course.id]
    if lost := [what for what in course.approved if not done[what] and not deployed.change.denies]:
        cell.add("lost_approvals", f"approved and not done: {lost}")
    return cell


def _judge_tasks(cell: Cell, course: Course, histories: list[WorkflowHistory]) -> None:
    for history in histories:
        for event in history.events:
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED:
                cell.workers.add(event.workflow_task_started_event_attributes.identity)
            if event.event_type != EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
                continue
            failed = event.workflow_task_failed_event_attributes
            cause = WorkflowTaskFailedCause.Name(failed.cause).removeprefix("WORKFLOW_TASK_FAILED_CAUSE_")
            text = f"{cause}: {failed.failure.message}"
            if cause == "NON_DETERMINISTIC_ERROR":
                cell.add("nondeterminism", text)
            elif cause != _HARMLESS:
                cell.add("task_failures", text)
    for fault in course.faults:
        is_other = "TMPRL1100" in fault or "ondetermin" in fault
        cell.add("nondeterminism" if is_other else "task_failures", fault)


async def _judge_replay(
    cell: Cell, release: Deployed, histories: list[WorkflowHistory], runtime: Runtime
) -> None:
    """Whatever code it went on by, its history is the same on that of either release."""
    replayer = Replayer(
        workflows=[release.clerk, release.long_clerk],
        workflow_runner=UnsandboxedWorkflowRunner(),
        debug_mode=True,
        runtime=runtime,
        plugins=[AgentflowPlugin()],
    )
    for history in histories:
        result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
        if result.replay_failure is not None:
            cell.add("nondeterminism", f"replay: {result.replay_failure}"[:600])


def _must_be_denied(deployed: Deployment, course: Course) -> bool:
    """Whether the new worker can't help deciding on a payment."""
    mode = deployed.mode
    if not deployed.change.denies or course.state.people == "answer":
        return False
    return mode == "new only" or (mode == "rolled back" and course.state.asks_code)


def _other_than_pinned(deployed: Deployment, course: Course, told: list[dict[str, Any]]) -> Iterator[str]:
    outcome, state = course.outcome, course.state
    assert outcome is not None
    wanted = _brief(deployed.old, long=state.is_long)
    for number, brief in enumerate(told):
        if wrong := sorted(key for key in wanted if brief[key] != wanted[key]):
            yield f"model call {number + 1} was told other {', '.join(wrong)}: {brief[wrong[0]]!r}"[:600]
    if outcome.status == "denied":
        if not deployed.change.denies or "pinned to the rules" not in outcome.reason:
            yield f"denied: {outcome.reason}"
        return
    if _must_be_denied(deployed, course):
        yield f"{outcome.status}, not denied"
    if outcome.status != "completed":
        yield f"{outcome.status}: {outcome.reason}"
        return
    output = SUPPLIED if state.people == "answer" else OUTPUT
    if outcome.output != output:
        yield f"its output is {outcome.output!r}"
    yield from _work(deployed, course)


def _work(deployed: Deployment, course: Course) -> Iterator[str]:
    """What was done, and what people were asked."""
    change, state, done = deployed.change, course.state, set(course.outside.effects[course.id])
    missing, more = state.effects - done, done - state.effects
    if more:
        yield f"done besides: {sorted(more)}"
    if wrongly := [what for what in missing if what.split()[0] != change.refuses]:
        yield f"not done: {sorted(wrongly)}"
    asked = Counter(_kind_of(reason) for reason in course.escalations)
    if state.people:
        asked["unusable answers"] -= 1
    if state.name == "in doubt":
        asked["ship"] -= 2 if change.asks_twice and asked["ship"] > 1 else 1
    refused = asked.pop(change.refuses, 0) if change.refuses else 0
    if wrong := {kind: times for kind, times in asked.items() if times}:
        yield f"people were asked otherwise: {wrong}: {course.escalations}"
    for reason in course.escalations:
        # Of a write that was under way, an attempt by the old worker may have had its effect.
        if " may or may not have happened" in reason and state.name not in ("in doubt", "write"):
            yield f"nobody knows that it did not happen: {reason}"
    if change.refuses and deployed.mode == "new only" and state.people != "answer" and not refused:
        yield f"no call of {change.refuses} was refused"


def _kind_of(reason: str) -> str:
    return "unusable answers" if reason.startswith("the model's answers") else reason.split(maxsplit=1)[0]


def _brief(before: Deployed, *, long: bool) -> dict[str, Any]:
    """What the models are told by the release that the run began with."""
    definition = definition_of(before.long_clerk if long else before.clerk)
    assert definition is not None
    return {
        "model": {"name": TEST_MODEL, "price": TEST_PRICE.model_dump(mode="json"), "tool_calling": "native"},
        "instructions": definition.instructions,
        "tools": [offer.model_dump(mode="json") for offer in definition.offers],
        "output_schema": definition.output_form.schema,
        "max_output_tokens": definition.model_options.max_output_tokens,
        "temperature": definition.model_options.temperature,
    }
