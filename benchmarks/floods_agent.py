"""The agent of ``benchmarks.floods``: it pays what a person allows."""

from decimal import Decimal

from temporalio import workflow

from agentflow import AgentOutcome, AgentTask, AgentWorkflow, Budget, ask, tool


class Till:
    """Pays out, and knows what."""

    def __init__(self) -> None:
        """Have paid nothing."""
        self.paid: list[str] = []

    @tool(effect="write", recovery="key", sinks=())
    async def pay(self, amount: str) -> str:
        """Pay an amount out."""
        self.paid.append(amount)
        return "paid"


@workflow.defn
class Cashier(AgentWorkflow[str, str]):
    """Pays what a person allows. Its run continues as new whenever it may."""

    tools = (Till.pay,)
    rules = (ask("payments", reason="payments need a person", tools=("pay",)),)
    budget = Budget(cost_usd=Decimal("1.00"), model_calls=20, tool_calls=20)
    max_history_bytes = 15_000

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        """Run the agent."""
        return await self.run_agent(task)
