"""The same agent as somebody changed it: runs that were recorded before can't follow."""

from temporalio import workflow

from agentflow import AgentOutcome, AgentTask, AgentWorkflow

with workflow.unsafe.imports_passed_through():
    from tests.cli.agents import Receipt


@workflow.defn(name="Cashier")
class ChangedCashier(AgentWorkflow[str, Receipt]):
    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[Receipt]:
        await workflow.sleep(1)
        return await self.run_agent(task)
