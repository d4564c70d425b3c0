"""Workers that are killed, runs that are cancelled, stores that are lost: the run goes on or ends well."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.testing import WorkflowEnvironment

from agentflow import AgentClient, AgentTask
from agentflow.adapters.directory_blobs import DirectoryBlobStore
from agentflow.plugin import AgentflowPlugin
from agentflow.testing import ScriptedModel, answer, call
from tests.workflow.agents import Banker
from tests.workflow.chatting_agents import Payer
from tests.workflow.harness import eventually, serving
from tests.workflow.tools import Bank, Report

DONE = answer({"account": "alice", "amount": "10.00"})
ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def worker_process(
    address: str, queue: str, directory: Path, how: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.workflow.kill_worker", address, queue, str(directory), how,
        stdout=asyncio.subprocess.PIPE, cwd=ROOT, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def line_of(process: asyncio.subprocess.Process, text: str) -> None:
    assert process.stdout
    async with asyncio.timeout(60):
        while text not in (line := (await process.stdout.readline()).decode()):
            assert line, f"the worker ended before it said {text!r}"


@pytest.mark.slow
async def test_a_worker_killed_after_paying_is_replaced_and_the_payment_is_made_once(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    address = temporal.client.service_client.config.target_host
    client = AgentClient(await temporal.connect_client(plugins=[AgentflowPlugin()]))
    queue = f"kill-{uuid4()}"
    async with worker_process(address, queue, tmp_path, "stall") as first:
        await line_of(first, "serving")
        workflow_id = await client.start(Payer, AgentTask(input="pay", requested_by="rita"), task_queue=queue)
        await line_of(first, "paid, and stalling")
        os.killpg(first.pid, signal.SIGKILL)
        await first.wait()
    async with worker_process(address, queue, tmp_path, "serve"):
        async with asyncio.timeout(60):
            outcome = await client.result(workflow_id, Report)
    assert outcome.status == "completed"
    assert len((tmp_path / "books.txt").read_text().splitlines()) == 1


async def test_a_cancelled_run_tells_the_running_tool_and_ends_as_cancelled(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel([call("audit"), DONE]), tmp_path) as bank:
        handle = await bank.start(Banker)
        await bank.bank.blocked.wait()
        await handle.cancel()
        async with asyncio.timeout(30):
            outcome = await handle.result()
        assert bank.bank.was_cancelled.is_set()
    assert outcome.status == "cancelled"


async def test_a_run_cancelled_while_it_waits_for_people_ends_as_cancelled(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel([call("pay", account="alice", amount="600.00"), DONE])
    async with serving(temporal, model, tmp_path) as bank:
        handle = await bank.start(Banker)
        await bank.pending(handle)
        await handle.cancel()
        assert (await handle.result()).status == "cancelled"
        assert bank.bank.paid == []


async def test_a_worker_whose_blob_store_is_empty_rebuilds_the_conversation_from_history(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    script = [call("balance", account="alice"), call("pay", account="alice", amount="600.00"), DONE]
    blobs = tmp_path / "blobs"
    model = ScriptedModel(script)
    async with serving(temporal, model, tmp_path, blobs=DirectoryBlobStore(blobs)) as first:
        handle = await first.start(Banker)
        request = await first.pending(handle)
        queue = first.task_queue
    shutil.rmtree(blobs)
    # Another worker, with nothing in its memory and nothing on its disk, takes the run over.
    async with serving(
        temporal, model, tmp_path, blobs=DirectoryBlobStore(blobs), bank=Bank(), queue=queue
    ) as second:
        await second.agents.approve(handle.id, request.id, by="ann")
        outcome = await handle.result()
        history = await handle.fetch_history()
    assert outcome.status == "completed"
    assert [m.kind for m in model.requests[-1].messages] == ["user", "assistant", "tool", "assistant", "tool"]
    # Nothing failed, and nothing was sent again.
    assert sum(event.HasField("activity_task_failed_event_attributes") for event in history.events) == 0


async def test_closing_a_worker_leaves_its_runs_to_the_next_one(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel([call("pay", account="alice", amount="600.00"), DONE])
    async with serving(temporal, model, tmp_path) as first:
        handle = await first.start(Banker)
        request = await first.pending(handle)
    async with serving(temporal, model, tmp_path, queue=first.task_queue) as second:
        status = await eventually(lambda: second.agents.status(handle.id))
        assert status.state == "waiting_for_approval"
        await second.agents.approve(handle.id, request.id, by="ann")
        assert (await handle.result()).status == "completed"
