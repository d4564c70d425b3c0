"""What should be in a run's trace, by its history, and what is."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from temporalio.client import WorkflowHistory

from agentflow.contracts.names import CHAT_ACTIVITY
from agentflow.telemetry import semconv
from benchmarks.traces.receiver import Received

SPANS = {CHAT_ACTIVITY: semconv.CHAT, "look": semconv.EXECUTE_TOOL, "note": semconv.EXECUTE_TOOL}
"""Activities that have spans, and what their names begin with."""


@dataclass(frozen=True)
class Verdict:
    """Of one run."""

    missing: tuple[str, ...]
    duplicates: int
    """Steps, or attempts of them, with more than one span."""
    resent: int
    """Spans that came more than once, under one id."""


def steps_of(history: WorkflowHistory) -> list[tuple[str, str]]:
    """The activities that ended, as their ids and types."""
    scheduled = {
        event.event_id: event.activity_task_scheduled_event_attributes
        for event in history.events
        if event.HasField("activity_task_scheduled_event_attributes")
    }
    found: list[tuple[str, str]] = []
    for event in history.events:
        if event.HasField("activity_task_completed_event_attributes"):
            one = scheduled[event.activity_task_completed_event_attributes.scheduled_event_id]
            found.append((one.activity_id, one.activity_type.name))
    return found


def judge(history: WorkflowHistory, spans: Iterable[Received]) -> Verdict:
    """Hold a run's spans against its history."""
    by_step: dict[tuple[object, ...], set[bytes]] = defaultdict(set)
    seen = Counter[bytes]()
    for span in spans:
        seen[span.id] += 1
        about = span.attributes
        by_step[
            span.name,
            about.get(semconv.ACTIVITY_ID),
            about.get(semconv.ATTEMPT),
            about.get(semconv.TOOL_CALL_ID),
            about.get(semconv.EXECUTION),
        ].add(span.id)
    have = {(str(name).partition(" ")[0], activity) for name, activity, *_ in by_step}
    wanted = [(SPANS[kind], activity) for activity, kind in steps_of(history) if kind in SPANS]
    missing = [f"{name} {activity}" for name, activity in wanted if (name, activity) not in have]
    missing += [
        name
        for name in (f"{semconv.INVOKE_AGENT} Bookkeeper", f"{semconv.DECIDE} look", f"{semconv.DECIDE} note")
        if not any(key[0] == name for key in by_step)
    ]
    return Verdict(
        tuple(missing),
        sum(len(ids) - 1 for ids in by_step.values()),
        sum(count - 1 for count in seen.values()),
    )
