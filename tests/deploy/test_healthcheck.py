"""The worker image's health check, run as Docker would run it."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

from temporalio import workflow
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

SCRIPT = Path(__file__).parents[2] / "deploy" / "healthcheck.py"


@workflow.defn
class Idle:
    @workflow.run
    async def run(self) -> None: ...


def check(address: str, task_queue: str) -> subprocess.CompletedProcess[str]:
    variables = {"TEMPORAL_ADDRESS": address, "AGENTFLOW_TASK_QUEUE": task_queue}
    command = [sys.executable, str(SCRIPT)]
    return subprocess.run(
        command, check=False, env=os.environ | variables, capture_output=True, text=True, timeout=30
    )


def address_of(server: WorkflowEnvironment) -> str:
    return server.client.service_client.config.target_host


async def test_a_polling_worker_is_healthy(temporal: WorkflowEnvironment):
    queue = f"health-{uuid4()}"
    async with Worker(temporal.client, task_queue=queue, workflows=[Idle]):
        for _attempt in range(10):  # it may ask before the worker's first poll has arrived
            result = await asyncio.to_thread(check, address_of(temporal), queue)
            if result.returncode == 0:
                break
    assert (result.returncode, result.stdout) == (0, "healthy\n")


async def test_a_task_queue_that_no_worker_of_this_host_polls_is_unhealthy(temporal: WorkflowEnvironment):
    result = await asyncio.to_thread(check, address_of(temporal), f"health-{uuid4()}")
    assert result.returncode == 1
    assert "no worker on this host polls" in result.stdout


def test_a_server_that_does_not_answer_is_unhealthy():
    result = check("127.0.0.1:1", "health")
    assert result.returncode == 1
    assert "Temporal doesn't answer" in result.stdout
