import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

SCRIPT = Path(__file__).parents[2] / "deploy" / "healthcheck.py"


@workflow.defn
class Idle:
    @workflow.run
    async def run(self) -> None: ...


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[WorkflowEnvironment]:
    temporal = Path(sys.executable).with_name("temporal")
    async with await WorkflowEnvironment.start_local(dev_server_existing_path=str(temporal)) as running:
        yield running


def address(server: WorkflowEnvironment) -> str:
    return server.client.service_client.config.target_host


def check(target: str, task_queue: str) -> subprocess.CompletedProcess[str]:
    variables = {"TEMPORAL_ADDRESS": target, "AGENTFLOW_TASK_QUEUE": task_queue}
    command = [sys.executable, str(SCRIPT)]
    return subprocess.run(
        command, check=False, env=os.environ | variables, capture_output=True, text=True, timeout=30
    )


async def test_a_polling_worker_is_healthy(server: WorkflowEnvironment):
    queue = f"health-{uuid4()}"
    async with Worker(server.client, task_queue=queue, workflows=[Idle]):
        for _attempt in range(10):  # it may ask before the worker's first poll has arrived
            result = await asyncio.to_thread(check, address(server), queue)
            if result.returncode == 0:
                break
    assert (result.returncode, result.stdout) == (0, "healthy\n")


async def test_a_task_queue_that_no_worker_of_this_host_polls_is_unhealthy(server: WorkflowEnvironment):
    result = await asyncio.to_thread(check, address(server), f"health-{uuid4()}")
    assert result.returncode == 1
    assert "no worker on this host polls" in result.stdout


def test_a_server_that_does_not_answer_is_unhealthy():
    result = check("127.0.0.1:1", "health")
    assert result.returncode == 1
    assert "Temporal doesn't answer" in result.stdout
