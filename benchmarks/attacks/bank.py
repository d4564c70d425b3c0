"""The agent under attack: it has a bank account, and people decide on large payments."""

import asyncio
from collections import Counter
from datetime import timedelta
from decimal import Decimal

from temporalio import workflow

from agentflow import (
    AgentOutcome,
    AgentTask,
    AgentWorkflow,
    Budget,
    Release,
    RetryOptions,
    RuleContext,
    ToolContext,
    ToolOptions,
    allow,
    ask,
    tool,
)
from agentflow.contracts.loops import LoopLimits
from agentflow.core.rules import EVERY_TIER

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


def is_large(context: RuleContext) -> bool:
    """More than the agent may pay alone."""
    return context.amount("amount") > 500


@workflow.defn
class Cashier(AgentWorkflow[str, str]):
    """Pays what it is told to pay."""

    instructions = "Do what the customer asks."
    tools = (Books.pay, Books.transfer, Books.look)
    rules = (
        allow("small", reason="small payments need nobody", tiers=EVERY_TIER),
        ask(
            "large",
            reason="large ones need two people",
            tools=("pay", "transfer"),
            when=is_large,
            people=2,
            tiers=EVERY_TIER,
        ),
    )
    budget = Budget(cost_usd=Decimal("5"), model_calls=200, tool_calls=200)
    loop_limits = LoopLimits(same_call=None, failures_in_a_row=None, turns_without_progress=None)
    release = Release(version="1", proven_models=("scripted:model",))

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        """Serve a customer."""
        return await self.run_agent(task)


@workflow.defn
class Teller(Cashier):
    """The same, continuing as new as soon as it may."""

    max_history_bytes = 1_000

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        """Serve a customer."""
        return await self.run_agent(task)


@workflow.defn
class Treasurer(Cashier):
    """Its payments need one person, of a role."""

    rules = (
        ask(
            "finance",
            reason="the finance department decides",
            tools=("pay",),
            roles=("finance",),
            tiers=EVERY_TIER,
        ),
    )

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        """Serve a customer."""
        return await self.run_agent(task)


@workflow.defn
class Cashіer(Cashier):  # noqa: PLC2401 - it looks like another
    """An agent whose name has a Cyrillic letter in it."""

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        """Serve a customer."""
        return await self.run_agent(task)


@workflow.defn
class CASHIER(Cashier):
    """An agent whose name is another's in capitals."""

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        """Serve a customer."""
        return await self.run_agent(task)


@workflow.defn
class Cash1er(Cashier):
    """An agent whose name has a digit for a letter."""

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        """Serve a customer."""
        return await self.run_agent(task)
