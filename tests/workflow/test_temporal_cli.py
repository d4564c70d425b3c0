"""A run started and approved with nothing but the ``temporal`` CLI, as the README tells a new user."""

import asyncio
import json
import shlex
from pathlib import Path

from temporalio.testing import WorkflowEnvironment

from agentflow.testing import ScriptedModel, answer, call
from tests.conftest import temporal_binary
from tests.workflow.agents import Banker
from tests.workflow.harness import eventually, serving

SCRIPT = [call("pay", account="alice", amount="600.00"), answer({"account": "alice", "amount": "600.00"})]


async def cli(environment: WorkflowEnvironment, *words: str) -> str:
    address = environment.client.service_client.config.target_host
    process = await asyncio.create_subprocess_exec(
        temporal_binary(),
        *words,
        "--address",
        address,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()
    assert process.returncode == 0, error.decode()
    return out.decode()


async def test_a_run_is_started_and_approved_with_the_temporal_cli_alone(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    task = json.dumps({"input": "pay alice", "requested_by": "rita"})
    async with serving(temporal, ScriptedModel(SCRIPT), tmp_path) as bank:
        await cli(
            temporal, "workflow", "start", "--type", "Banker", "--task-queue", bank.task_queue,
            "--workflow-id", "by-hand", "--input", task,
        )  # fmt: skip

        async def details() -> str | None:
            told = await cli(temporal, "workflow", "metadata", "--workflow-id", "by-hand", "--output", "json")
            shown = json.loads(told)["queryResult"][0].get("currentDetails", "")
            return shown if "### Approval" in shown else None

        # The very command that the Web UI shows, with a name filled in.
        shown = await eventually(details)
        command = next(line for line in shown.splitlines() if "--name approve" in line)
        words = shlex.split(command.replace("YOUR NAME", "ann"))
        assert words[0] == "temporal"
        await cli(temporal, *words[1:])
        result = await cli(temporal, "workflow", "result", "--workflow-id", "by-hand", "--output", "json")
        assert bank.bank.paid == [("alice", "600.00")]
    assert json.loads(result)["result"]["status"] == "completed"


async def test_the_temporal_cli_can_decide_through_the_update_and_is_told_at_once(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with serving(temporal, ScriptedModel(SCRIPT), tmp_path) as bank:
        handle = await bank.start(Banker)
        request = await bank.pending(handle)
        decision = json.dumps({"approval_id": request.id, "by": "ann", "verdict": "approve"})
        told = await cli(
            temporal, "workflow", "update", "execute", "--workflow-id", handle.id, "--name", "decide", "--input", decision
        )  # fmt: skip
        assert "approved" in told
        await handle.result()
