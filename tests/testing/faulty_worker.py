"""A worker with a fault, for ``test_faults``.

It pays an amount out with the tool. The action is ``kill``, or how many seconds the process freezes.
"""

import asyncio
from datetime import timedelta
from pathlib import Path

from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import Worker

from agentflow import (
    AgentOutcome,
    AgentTask,
    AgentWorkflow,
    DidNotHappen,
    Happened,
    ModelOptions,
    Release,
    RetryOptions,
    ToolContext,
    ToolOptions,
    allow,
    tool,
    tools_of,
)
from agentflow.adapters.directory_blobs import DirectoryBlobStore
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.testing import (
    Fault,
    FaultPlan,
    FaultPoint,
    Kill,
    ScriptedModel,
    Stall,
    answer,
    call,
    scripted_plugin,
)

PROMPT = RetryOptions(max_attempts=10, initial_interval=timedelta(milliseconds=50), backoff=1)
SOON = timedelta(seconds=1)


QUICK = ToolOptions(
    start_to_close_timeout=2 * SOON, heartbeat_timeout=SOON, retry=PROMPT, max_effect_delay=SOON
)


ONCE = QUICK.model_copy(update={"retry": RetryOptions(max_attempts=1)})


class Till:
    """Pays out; its books are a file, which outlives the process."""

    def __init__(self, books: Path) -> None:
        self.books = books

    @tool(effect="write", recovery="key", options=QUICK)
    async def pay_out(self, context: ToolContext, amount: str) -> str:
        """Pay an amount out, once for one key."""
        line = f"{context.idempotency_key} {amount}"
        if line not in self.paid:
            self.books.write_text("\n".join([*self.paid, line]))
        return f"paid {amount}"

    @tool(effect="write", recovery="key", options=ONCE)
    async def pay_out_once(self, context: ToolContext, amount: str) -> str:
        """Pay an amount out, with one attempt."""
        return await self.pay_out(context, amount)

    @tool(effect="irreversible", recovery="probe", options=QUICK)
    async def hand_out(self, context: ToolContext, amount: str) -> str:
        """Pay an amount out, as often as it is asked for."""
        self.books.write_text("\n".join([*self.paid, f"{context.idempotency_key} {amount}"]))
        return f"paid {amount}"

    @hand_out.probe
    async def find(self, context: ToolContext, amount: str) -> Happened[str] | DidNotHappen:
        """Look into the books."""
        made = f"{context.idempotency_key} {amount}" in self.paid
        return Happened(f"paid {amount}") if made else DidNotHappen()

    @property
    def paid(self) -> list[str]:
        return self.books.read_text().splitlines() if self.books.exists() else []


@workflow.defn
class Cashier(AgentWorkflow[str, str]):
    tools = (Till.pay_out, Till.pay_out_once, Till.hand_out)
    rules = (allow("pay", reason="it is what it is for"),)
    model_options = ModelOptions(heartbeat_timeout=SOON, retry=PROMPT)
    release = Release(version="1", proven_models=("scripted:model",))

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)


async def serve(address: str, queue: str, directory: Path, tool_name: str, plan: FaultPlan) -> None:
    """Serve until cancelled, or killed."""
    plugin = scripted_plugin(
        plan.model(ScriptedModel([call(tool_name, amount="10.00"), answer("done")])),
        tools=tools_of(Till(directory / "books.txt")),
        ledger=plan.ledger(SQLiteLedger(directory / "ledger.sqlite")),
        blobs=DirectoryBlobStore(directory / "blobs"),
    )
    client = await Client.connect(address, plugins=[plugin])
    worker = Worker(
        client,
        task_queue=queue,
        workflows=[Cashier],
        interceptors=[plan.interceptor()],
        sticky_queue_schedule_to_start_timeout=SOON,
    )
    await worker.run()


def fault(point: FaultPoint, action: str, tool_name: str) -> Fault:
    if action == "kill":
        return Fault(point, Kill())
    return Fault(point, Stall(timedelta(seconds=float(action)), freezes=True), tools={tool_name})


def run(where: str, task_queue: str, folder: Path, tool_name: str, at: FaultPoint, how: str) -> None:
    """Serve in a process of its own."""
    faults = FaultPlan((fault(at, how, tool_name),))
    asyncio.run(serve(where, task_queue, folder, tool_name, faults))
