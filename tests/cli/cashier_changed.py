"""The same agent as somebody changed it: runs that were recorded before can't follow."""

from cashier import Receipt
from temporalio import workflow

from agentflow import AgentOutcome, AgentTask, AgentWorkflow


@workflow.defn(name="Cashier")
class ChangedCashier(AgentWorkflow[str, Receipt]):
    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[Receipt]:
        await workflow.sleep(1)
        return await self.run_agent(task)
