"""What somebody with access to Temporal, and to nothing else, may write and run."""

import base64
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowHistory
from temporalio.common import RawValue, RetryPolicy


@dataclass
class Order:
    """An activity to be run on another fleet's task queue, with a payload copied as it is."""

    activity: str
    task_queue: str
    payload: str
    """In base64."""


@workflow.defn
class Stranger:
    """Schedules whatever activity it is told to, on whatever task queue."""

    @workflow.run
    async def run(self, order: Order) -> str:
        await workflow.execute_activity(
            order.activity,
            RawValue(Payload.FromString(base64.b64decode(order.payload))),
            task_queue=order.task_queue,
            start_to_close_timeout=timedelta(seconds=10),
            retry_policy=RetryPolicy(maximum_attempts=1),
        )
        return "it was done"


@workflow.defn
class Impostor:
    """Continues as new as somebody else's agent, with a state of its own making."""

    @workflow.run
    async def run(self, agent: str, task_queue: str, task: Any) -> None:
        workflow.continue_as_new(args=[task], workflow=agent, task_queue=task_queue)


def arguments_of(history: WorkflowHistory, activity: str) -> list[Payload]:
    """What an activity was sent, as anybody can read it in a run's history."""
    return [
        event.activity_task_scheduled_event_attributes.input.payloads[0]
        for event in history.events
        if event.HasField("activity_task_scheduled_event_attributes")
        and event.activity_task_scheduled_event_attributes.activity_type.name == activity
    ]
