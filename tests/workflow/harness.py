"""A worker around a scripted model and the test bank, and short words for what tests do with it."""

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from temporalio.client import Client, WorkflowHandle, WorkflowHistory
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, Worker

from agentflow import AgentClient, AgentflowPlugin, AgentOutcome, AgentTask, AgentWorkflow, tools_of
from agentflow.adapters.history.executions import Histories
from agentflow.contracts.approval import ApprovalRequest
from agentflow.contracts.escalation import Escalation
from agentflow.ports.model import ModelClient
from agentflow.testing import scripted_plugin
from tests.workflow import agents, chatting_agents, stepping_agents
from tests.workflow.tools import Bank

T = TypeVar("T")

ALL_AGENTS: list[type] = [
    agent
    for module in (agents, chatting_agents, stepping_agents)
    for agent in vars(module).values()
    if isinstance(agent, type) and agent.__module__ == module.__name__ and issubclass(agent, AgentWorkflow)
]


@dataclass
class Harness:
    client: Client
    agents: AgentClient
    bank: Bank
    task_queue: str

    async def start(self, workflow: type, text: Any = "hello", **task: Any) -> WorkflowHandle[Any, Any]:
        made = AgentTask(**{"input": text, "requested_by": "rita", **task})
        workflow_id = await self.agents.start(workflow, made, task_queue=self.task_queue)
        return self.client.get_workflow_handle(workflow_id, result_type=AgentOutcome[Any])

    async def run(self, workflow: type, text: Any = "hello", **task: Any) -> AgentOutcome[Any]:
        return await (await self.start(workflow, text, **task)).result()

    async def pending(self, handle: WorkflowHandle[Any, Any]) -> ApprovalRequest:
        """The first pending approval, as soon as there is one."""

        async def look() -> ApprovalRequest | None:
            waiting = await self.agents.pending_approvals(handle.id)
            return waiting[0] if waiting else None

        return await eventually(look)

    async def escalation(self, handle: WorkflowHandle[Any, Any]) -> Escalation:
        """The open escalation, as soon as there is one."""

        async def look() -> Escalation | None:
            return (await self.agents.status(handle.id)).escalation

        return await eventually(look)

    async def refusals(self, handle: WorkflowHandle[Any, Any]) -> list[str]:
        return [r.detail for r in await self.agents.decisions(handle.id) if not r.accepted]


async def eventually(look: Callable[[], Awaitable[T | None]], seconds: float = 30) -> T:
    """What a look finds, as soon as it finds something. Bounded, so that a failure is not a hang."""
    async with asyncio.timeout(seconds):
        while True:
            if (found := await look()) is not None:
                return found
            await asyncio.sleep(0.05)


async def chain(handle: WorkflowHandle[Any, Any]) -> list[WorkflowHistory]:
    """The histories of the run's executions so far."""
    executions = await Histories(handle._client).of(handle.id)
    return [each.history for each in executions if each.history]


def decoded(history: str) -> str:
    """The JSON payloads of a history, as one text."""
    return "\n".join(
        json.dumps(json.loads(base64.b64decode(data))) for data in re.findall(r'"data": "([^"]+)"', history)
    )


async def replayed(history: WorkflowHistory, *workflows: type) -> None:
    """Replay a history on agents, all test agents by default; raises where they would do otherwise."""
    replayer = Replayer(workflows=workflows or ALL_AGENTS, plugins=[AgentflowPlugin()])
    assert (await replayer.replay_workflow(history)).replay_failure is None


@asynccontextmanager
async def serving(
    environment: WorkflowEnvironment, model: ModelClient, directory: Path, **settings: Any
) -> AsyncIterator[Harness]:
    """A worker with the test agents, on a task queue of its own."""
    bank = settings.pop("bank", None) or Bank()
    queue = settings.pop("queue", None) or f"test-{uuid4()}"
    workflows = settings.pop("workflows", None) or ALL_AGENTS
    options = settings.pop("worker", {})
    clocked: Client = settings.pop("client", environment.client)
    tools = (*tools_of(bank), *settings.pop("more_tools", ()))
    plugin = scripted_plugin(model, tools=tools, directory=directory, **settings)
    plain = await environment.connect_client(plugins=[plugin])
    # On a server that skips time, the environment's own client has the interceptor that sets the clock.
    config = plain.config()
    config["interceptors"] = [*clocked.config()["interceptors"], *config["interceptors"]]
    client = Client(**config)
    async with Worker(client, task_queue=queue, workflows=workflows, **options):
        yield Harness(client, AgentClient(client), bank, queue)
