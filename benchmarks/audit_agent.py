"""The agent of ``benchmarks.audit``: it looks, pays what a person allows, and answers."""

from pathlib import Path

from temporalio import workflow

from agentflow import AgentOutcome, AgentTask, AgentWorkflow, Release, ToolContext, ask, tool


class Books:
    """Notes each payment under its key, as an outside system that knows idempotency keys does."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @tool(effect="read")
    async def look(self, account: str) -> str:
        """Look at an account."""
        return f"{account} is in order"

    @tool(effect="write", recovery="key", sinks=("account", "cents"))
    async def pay(self, context: ToolContext, account: str, cents: int) -> str:
        """Pay an amount."""
        (self._directory / context.idempotency_key).write_text(f"{account} {cents}")
        return "paid"


@workflow.defn
class Treasurer(AgentWorkflow[str, str]):
    """Three model calls, a read, an approval and a write."""

    tools = (Books.look, Books.pay)
    rules = (ask("payments", reason="a person sees each payment", tools=("pay",)),)
    release = Release(version="1", proven_models=("scripted:model",))

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        """Start."""
        return await self.run_agent(task)
