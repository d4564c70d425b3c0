"""A worker whose runs are measured, for ``test_metrics``: ``python -m tests.telemetry.measured ADDRESS WAY``.

In a process of its own, since a meter provider can be set once. Prints the metrics as Prometheus gets them.
"""

import asyncio
import tempfile
import urllib.request
from pathlib import Path
from typing import Any
from uuid import uuid4

from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Replayer, Worker

from agentflow import AgentClient, tools_of
from agentflow.adapters.process import free_port
from agentflow.adapters.waiting import WaitingRuns
from agentflow.contracts import names
from agentflow.contracts.escalation import Resolution
from agentflow.contracts.wire import ApprovalId
from agentflow.telemetry.logs import configure_logs
from agentflow.telemetry.metering import configure_metrics
from agentflow.testing import ScriptedModel, call, scripted_plugin
from tests.telemetry.traced import DONE, HUGE, LOOK, WORKFLOWS
from tests.workflow.agents import Banker
from tests.workflow.harness import Harness, eventually
from tests.workflow.tools import Bank


async def approved(bank: Harness) -> WorkflowHandle[Any, Any]:
    """A read that fails once, and a write that two people approve."""
    bank.bank.failures = [RuntimeError("no")]
    handle = await waiting(bank)
    for name in ("ann", "bob"):
        await bank.agents.approve(handle.id, ApprovalId("approval-1"), by=name)
    return handle


async def escalated(bank: Harness) -> WorkflowHandle[Any, Any]:
    """A tool that isn't there, twice."""
    handle = await bank.start(Banker)
    await eventually(lambda: listed(bank, handle, f"{names.AGENT_STATUS} = 'escalated'"))
    await bank.agents.resolve(handle.id, Resolution(action="guide", by="ann", text="go on"))
    return handle


async def waiting(bank: Harness) -> WorkflowHandle[Any, Any]:
    """A run that waits for people, as lists see it."""
    handle = await bank.start(Banker)
    await eventually(lambda: listed(bank, handle, f"{names.AGENT_PENDING_APPROVALS} = 1"))
    return handle


async def listed(bank: Harness, handle: WorkflowHandle[Any, Any], term: str) -> bool | None:
    """Whether a list has the run. No query is sent: it could have a step of the run done twice."""
    return (await bank.client.count_workflows(f"{term} AND WorkflowId = '{handle.id}'")).count > 0 or None


WAYS = {
    "approved": ([LOOK, HUGE, DONE], approved),
    "escalated": ([call("no_such_tool"), call("no_such_tool"), DONE], escalated),
    "waiting": ([HUGE], waiting),
}


async def fetched(port: int) -> str | None:
    """The metrics, once Temporal's own are among them: they come once a second."""
    text = await asyncio.to_thread(
        lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
    )
    return text if "temporal_workflow_completed" in text else None


async def main(address: str, way: str) -> None:
    configure_logs()
    script, work = WAYS[way]
    bank, queue, port = Bank(), f"measured-{uuid4()}", free_port()
    with tempfile.TemporaryDirectory() as directory:
        plugin = scripted_plugin(ScriptedModel(script), tools=tools_of(bank), directory=Path(directory))
        async with configure_metrics(prometheus=port, prometheus_host="127.0.0.1") as metering:
            client = await Client.connect(address, plugins=[plugin], runtime=metering.runtime)
            async with Worker(client, task_queue=queue, workflows=WORKFLOWS):
                handle = await work(Harness(client, AgentClient(client), bank, queue))
                if way == "waiting":
                    await WaitingRuns(client).measure()
                    await handle.cancel()
                await handle.result()
            replayer = Replayer(workflows=WORKFLOWS, plugins=[plugin], runtime=metering.runtime)
            await replayer.replay_workflow(await handle.fetch_history())
            print(await eventually(lambda: fetched(port)))


def run(address: str, way: str) -> None:
    asyncio.run(main(address, way))
