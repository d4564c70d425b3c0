"""The agent of the story: it checks the books, asks for two approvals, and takes its time."""

import asyncio
from datetime import timedelta
from pathlib import Path

from temporalio import workflow

from agentflow import (
    AgentOutcome,
    AgentTask,
    AgentWorkflow,
    Release,
    RetryOptions,
    ToolContext,
    ToolOptions,
    ToolUnavailableError,
    allow,
    ask,
    tool,
)

PROMPT = RetryOptions(max_attempts=5, initial_interval=timedelta(milliseconds=200))
RELEASE = Release(version="1", proven_models=("scripted:model",))


class Ledgers:
    """A bookkeeper's tools; what they have done is noted in files, which outlive a worker."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @tool(effect="read", options=ToolOptions(retry=PROMPT))
    async def statement(self, context: ToolContext, account: str) -> str:
        """Read an account's statement."""
        if context.attempt == 1:
            raise ToolUnavailableError("the bank is busy")
        return f"{account}: 2 invoices open"

    @tool(
        effect="write",
        recovery="key",
        options=ToolOptions(retry=PROMPT),
        sentence="Pay {amount}",
    )
    async def pay(self, context: ToolContext, account: str, amount: str) -> str:
        """Pay an invoice."""
        (self._directory / context.idempotency_key).write_text(f"{amount} to {account}")
        return f"paid {amount}"

    @tool(
        effect="write",
        recovery="key",
        options=ToolOptions(
            retry=PROMPT,
            heartbeat_timeout=timedelta(seconds=1.5),
            start_to_close_timeout=timedelta(seconds=5),
        ),
    )
    async def close_month(self, context: ToolContext, month: str) -> str:
        """Close a month."""
        begun = self._directory / "closing"
        if not begun.exists():
            begun.touch()
            # Long enough for somebody to kill the worker.
            await asyncio.sleep(30)
        return f"{month} is closed"


@workflow.defn
class MonthEnd(AgentWorkflow[str, str]):
    """Checks the books, pays two invoices, closes the month."""

    tools = (Ledgers.statement, Ledgers.pay, Ledgers.close_month)
    rules = (
        ask("payments", reason="money leaves", tools=("pay",)),
        allow("closing", reason="it can be opened again", tools=("close_month",)),
    )
    release = RELEASE

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        """Start."""
        return await self.run_agent(task)

    async def perform(self, task: AgentTask[str]) -> str:
        """Check the books, then go on as the model says."""
        await self.call_tool(Ledgers.statement, {"account": "4711"})
        return await super().perform(task)
