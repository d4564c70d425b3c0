"""The agent whose runs are traced: it looks, writes, and answers."""

from pathlib import Path

from temporalio import workflow

from agentflow import AgentOutcome, AgentTask, AgentWorkflow, Release, ToolContext, allow, tool


class Books:
    """Notes each write under its key, as an outside system that knows idempotency keys does."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @tool(effect="read")
    async def look(self, account: str) -> str:
        """Look at an account."""
        return f"{account} is in order"

    @tool(effect="write", recovery="key", sinks=())
    async def note(self, context: ToolContext, text: str) -> str:
        """Write a note."""
        (self._directory / context.idempotency_key).write_text(text)
        return "noted"


@workflow.defn
class Bookkeeper(AgentWorkflow[str, str]):
    """Three model calls, a read and a write."""

    tools = (Books.look, Books.note)
    rules = (allow("notes", reason="a benchmark", tools=("note",)),)
    release = Release(version="1", proven_models=("scripted:model",))

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        """Start."""
        return await self.run_agent(task)
