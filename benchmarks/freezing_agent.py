"""The agent of ``benchmarks.freezing``: it writes and writes."""

import time
from datetime import timedelta

from temporalio import workflow

from agentflow import AgentOutcome, AgentTask, AgentWorkflow, Release, ToolContext, allow, tool


class Scribe:
    """Notes each write with its time."""

    def __init__(self) -> None:
        self.written: list[tuple[str, float]] = []

    @tool(effect="write", recovery="key", sinks=())
    async def write(self, context: ToolContext, number: int) -> int:
        """Write a number."""
        self.written.append((context.workflow_id, time.monotonic()))
        return number


@workflow.defn
class Writer(AgentWorkflow[str, int]):
    """Writes twice a second, until it is told to stop."""

    tools = (Scribe.write,)
    rules = (allow("all", reason="a benchmark"),)
    release = Release(version="1", proven_models=("scripted:model",))

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[int]:
        """Start writing."""
        return await self.run_agent(task)

    async def perform(self, task: AgentTask[str]) -> int:
        """Write, whatever became of the write before."""
        for number in range(600):
            await self.call_tool(Scribe.write, {"number": number}, tell=False)
            await workflow.sleep(timedelta(seconds=0.5))
        return 0
