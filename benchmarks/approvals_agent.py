"""The agent of ``benchmarks.approvals``: it asks people about one refund, and makes it if they agree."""

from temporalio import workflow

from agentflow import AgentOutcome, AgentTask, AgentWorkflow, Release, ToolContext, ask, tool


class Till:
    """Notes each refund."""

    def __init__(self) -> None:
        self.refunds: list[str] = []

    @tool(
        effect="irreversible",
        recovery="key",
        sinks=("order", "amount"),
        sentence="Refund {amount} of order {order}",
    )
    async def refund(self, context: ToolContext, order: str, amount: str, reason: str) -> str:
        """Refund an order."""
        self.refunds.append(order)
        return "refunded"


@workflow.defn
class Refunder(AgentWorkflow[str, str]):
    """Makes one refund."""

    tools = (Till.refund,)
    rules = (ask("refunds", reason="money leaves the house", tools=("refund",), roles=("finance",)),)
    release = Release(version="1", proven_models=("scripted:model",))

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        """Start."""
        return await self.run_agent(task)

    async def perform(self, task: AgentTask[str]) -> str:
        """Refund the order that the task names."""
        arguments = {
            "order": task.input,
            "amount": "49.00",
            "reason": "broken on arrival, as the photo shows",
        }
        result = await self.call_tool(Till.refund, arguments, tell=False)
        return str(result.output)
