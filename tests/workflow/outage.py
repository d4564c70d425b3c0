"""A run that waits for people while no worker is there, on a server whose clock the test moves."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle
from temporalio.testing import TimeSkipper, TimeSkippingConfig, WorkflowEnvironment

from agentflow.ports.model import ModelClient
from tests.workflow.harness import Harness, eventually, serving

MARGIN = timedelta(seconds=6)
"""Before a deadline: the run's clock is moved to here, and what the test then sends is in time."""

SOON = timedelta(milliseconds=100)
"""Timers of this length bring a workflow task: nobody waits for them."""


@dataclass
class Outage:
    """What a test does between the end of one worker and the begin of the next."""

    handle: WorkflowHandle[Any, Any]
    skipper: TimeSkipper
    serve: Callable[[], AbstractAsyncContextManager[Harness]]

    async def move_close_to(self, deadline: datetime) -> None:
        """Let the run's clock come close to a time. Nothing may wait for a worker by then."""
        left = deadline - await self.skipper.get_current_time(self.handle)
        await self.skipper.fast_forward(self.handle, left - MARGIN)

    async def wait_past(self, deadline: datetime) -> None:
        """Come back once the run's clock is past a time, by more than the server takes to answer."""
        past = deadline + timedelta(seconds=1)

        async def look() -> bool | None:
            return True if await self.skipper.get_current_time(self.handle) > past else None

        await eventually(look)

    async def wait_for_timers(self, count: int = 1) -> None:
        """Come back once so many of the run's timers have fired, which no worker has heard of."""

        async def look() -> bool | None:
            return True if len((await timers_of(self.handle)).fired) >= count else None

        await eventually(look)

    async def times(self, kind: "EventType.ValueType") -> list[datetime]:
        """When the run's events of a kind were, by the server."""
        return await _times(self.handle, kind)

    async def activities(self, name: str) -> int:
        """How many activities of a type the execution has asked for."""
        events = self.handle.fetch_history_events()
        asked = [e.activity_task_scheduled_event_attributes.activity_type.name async for e in events]
        return asked.count(name)


@dataclass
class Timers:
    """An execution's timers of a kind, by the ids of the events that started them."""

    started: set[int]
    fired: set[int]
    cancelled: set[int]


async def timers_of(handle: WorkflowHandle[Any, Any], *, soon: bool = False) -> Timers:
    """The timers of an execution for which somebody waits, or those that bring a workflow task soon."""
    found = Timers(set(), set(), set())
    async for event in handle.fetch_history_events():
        match event.event_type:
            case EventType.EVENT_TYPE_TIMER_STARTED:
                length = event.timer_started_event_attributes.start_to_fire_timeout.ToTimedelta()
                if (length <= SOON) == soon:
                    found.started.add(event.event_id)
            case EventType.EVENT_TYPE_TIMER_FIRED:
                found.fired.add(event.timer_fired_event_attributes.started_event_id)
            case EventType.EVENT_TYPE_TIMER_CANCELED:
                found.cancelled.add(event.timer_canceled_event_attributes.started_event_id)
            case _:
                pass
    return Timers(found.started, found.fired & found.started, found.cancelled & found.started)


async def is_about_to_wake(handle: WorkflowHandle[Any, Any]) -> bool:
    """Whether a timer is under way that brings a workflow task soon."""
    soon = await timers_of(handle, soon=True)
    return bool(soon.started - soon.fired - soon.cancelled)


async def _times(handle: WorkflowHandle[Any, Any], kind: "EventType.ValueType") -> list[datetime]:
    events = handle.fetch_history_events()
    return [event.event_time.ToDatetime(UTC) async for event in events if event.event_type == kind]


@asynccontextmanager
async def outage(
    environment: WorkflowEnvironment,
    model: ModelClient,
    directory: Path,
    agent: type,
    until: Callable[[Harness, WorkflowHandle[Any, Any]], Any],
    **settings: Any,
) -> AsyncIterator[tuple[Outage, Any]]:
    """A run that has come to wait for people; its worker is gone.

    Args:
        environment: A server that skips time.
        model: What the run asks.
        directory: Of the worker's files.
        agent: The run's.
        until: Awaited while there is a worker; what it answers is handed on.
        **settings: Of ``serving``.
    """
    skipper = TimeSkipper(environment.client, config=TimeSkippingConfig(enabled=False))
    options = {"client": skipper.client, **settings}
    async with serving(environment, model, directory, **options) as bank:
        handle = await bank.start(agent)
        found = await until(bank, handle)
        queue = bank.task_queue

        async def is_idle() -> bool | None:
            # First: a timer that fires brings a task.
            if await is_about_to_wake(handle):
                return None
            # A task that its worker takes along into its end would hold the server's clock up.
            told = (await handle.describe()).raw_description
            if told.HasField("pending_workflow_task") or told.pending_activities:
                return None
            # One that continued as new a moment ago is made to wait for its first task.
            return True if await _times(handle, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED) else None

        await eventually(is_idle)
    yield (
        Outage(handle, skipper, lambda: serving(environment, model, directory, queue=queue, **options)),
        found,
    )
