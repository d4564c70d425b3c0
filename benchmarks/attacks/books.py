"""The bank's own side: what was paid, to whom. Workflow code imports it past the sandbox."""

import asyncio
from collections import Counter
from datetime import timedelta

from agentflow import RetryOptions, ToolContext, ToolOptions, tool

QUICK = RetryOptions(max_attempts=3, initial_interval=timedelta(milliseconds=10))


class Books:
    """What was paid, to whom."""

    def __init__(self) -> None:
        self.paid: Counter[str] = Counter()
        """Payments by account: each attempt has an account of its own."""
        self.looks = 0

    @tool(effect="write", recovery="key", sinks=(), options=ToolOptions(retry=QUICK))
    async def pay(self, context: ToolContext, account: str, amount: str) -> str:
        """Pay an amount to an account."""
        self.paid[account] += 1
        return f"paid {amount} to {account}"

    @tool(effect="write", recovery="key", sinks=(), options=ToolOptions(retry=QUICK))
    async def transfer(self, context: ToolContext, account: str, amount: str) -> str:
        """Transfer an amount to an account: the same arguments as a payment."""
        self.paid[account] += 1
        return f"transferred {amount} to {account}"

    @tool(effect="read", options=ToolOptions(retry=QUICK))
    async def look(self, account: str) -> str:
        """Look at an account."""
        self.looks += 1
        if account == "slow":
            await asyncio.sleep(3)
        return f"{account} has 100.00"
