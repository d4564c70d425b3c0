"""What somebody with access to Temporal, and to nothing else, may write and run."""

import base64
from dataclasses import dataclass
from datetime import timedelta

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue, RetryPolicy

from benchmarks.attacks.strangers import Impostor, arguments_of

__all__ = ["Impostor", "Order", "Stranger", "arguments_of"]


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
