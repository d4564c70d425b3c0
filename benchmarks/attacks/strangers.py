"""What somebody with access to Temporal, and to nothing else, may write and run: workflows of their own."""

import asyncio
import base64
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowHistory
from temporalio.common import RawValue, RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError

SEAL = "af-seal"


@dataclass
class Order:
    """An activity to be run on another fleet's task queue."""

    activity: str
    task_queue: str
    payload: str
    """In base64, sent as it is."""
    seal: str = ""
    """Put in its place. ``RUN`` in it stands for the run id of the workflow that sends it."""

    @classmethod
    def of(cls, activity: str, task_queue: str, payload: Payload, seal: str = "") -> "Order":
        """An order for a payload."""
        return cls(activity, task_queue, base64.b64encode(payload.SerializeToString()).decode(), seal)


@workflow.defn
class Stranger:
    """Schedules whatever activities it is told to, on whatever task queue; answers how each one ended."""

    @workflow.run
    async def run(self, orders: list[Order]) -> list[str]:
        """Carry the orders out, all at once."""
        return list(await asyncio.gather(*(_carried_out(order) for order in orders)))


@workflow.defn
class Impostor:
    """Continues as new as somebody else's agent, with a state of its own making."""

    @workflow.run
    async def run(self, agent: str, task_queue: str, task: dict[str, Any]) -> None:
        """Become the agent."""
        if isinstance(seal := task.get("seal"), str):
            task["seal"] = seal.replace("RUN", _run_id_in_seals())
        workflow.continue_as_new(args=[task], workflow=agent, task_queue=task_queue)


def _run_id_in_seals() -> str:
    return f"~{in_base64(UUID(workflow.info().run_id).bytes)}"


def in_base64(code: bytes) -> str:
    """As a seal has its code and run ids."""
    return base64.urlsafe_b64encode(code).decode().rstrip("=")


async def _carried_out(order: Order) -> str:
    payload = Payload.FromString(base64.b64decode(order.payload))
    if order.seal:
        payload.metadata[SEAL] = order.seal.replace("RUN", _run_id_in_seals()).encode()
    try:
        await workflow.execute_activity(
            order.activity,
            RawValue(payload),
            result_type=RawValue,
            task_queue=order.task_queue,
            start_to_close_timeout=timedelta(seconds=20),
            retry_policy=RetryPolicy(maximum_attempts=1),
        )
    except ActivityError as error:
        return (
            f"{error.cause.type}: {error.cause}"
            if isinstance(error.cause, ApplicationError)
            else str(error.cause)
        )
    return "it was done"


def arguments_of(history: WorkflowHistory, activity: str) -> list[Payload]:
    """What an activity was sent, as anybody can read it in a run's history."""
    return [
        event.activity_task_scheduled_event_attributes.input.payloads[0]
        for event in history.events
        if event.HasField("activity_task_scheduled_event_attributes")
        and event.activity_task_scheduled_event_attributes.activity_type.name == activity
    ]
