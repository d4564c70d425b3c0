"""Exit code 0 if this container's worker takes workflow tasks, 1 if not.

A running process proves little: a worker that lost its server or hangs still runs. Temporal knows who
polls a task queue and since when, so Temporal is asked.
"""

import asyncio
import os
import socket
import sys
from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import PollerInfo, TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.envconfig import ClientConfig

TASK_QUEUE = os.environ.get("AGENTFLOW_TASK_QUEUE", "agentflow")
TIMEOUT = timedelta(seconds=10)
FRESH = timedelta(minutes=2)
"""A poll lasts a minute at most, so a live worker's last one is never older."""


async def workflow_pollers() -> list[PollerInfo]:
    """Who polls the task queue for workflow tasks, by Temporal's memory of the last five minutes."""
    client = await Client.connect(**ClientConfig.load_client_connect_config())
    answer = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=TASK_QUEUE),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        ),
        timeout=TIMEOUT,
    )
    return list(answer.pollers)


def problem(pollers: list[PollerInfo]) -> str | None:
    """What is wrong, or ``None``. A worker is known as ``<process id>@<host name>``."""
    here = f"@{socket.gethostname()}"
    polls = [p.last_access_time.ToDatetime(UTC) for p in pollers if p.identity.endswith(here)]
    if not polls:
        return f"no worker on this host polls the task queue {TASK_QUEUE}"
    age = datetime.now(UTC) - max(polls)
    return f"the worker last polled {age.total_seconds():.0f} s ago" if age > FRESH else None


async def check() -> str | None:
    """What is wrong with the worker or with the way to its server, or ``None``."""
    try:
        return problem(await asyncio.wait_for(workflow_pollers(), TIMEOUT.total_seconds()))
    except Exception as error:  # whatever keeps Temporal from answering keeps the worker from working
        return f"Temporal doesn't answer: {error!r}"


if __name__ == "__main__":
    found = asyncio.run(check())
    print(found or "healthy", flush=True)
    # A process that used a Temporal client can crash at interpreter exit, which would count as unhealthy.
    sys.stdout.flush()
    os._exit(1 if found else 0)
