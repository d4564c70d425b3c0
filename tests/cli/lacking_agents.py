"""The same agent after a deploy: a tool and the code of a rule are gone."""

from temporalio import workflow

from agentflow import AgentOutcome, AgentTask, AgentWorkflow, ask

with workflow.unsafe.imports_passed_through():
    from tests.cli.agents import Receipt, pay, transfer


@workflow.defn(name="Cashier")
class LackingCashier(AgentWorkflow[str, Receipt]):
    tools = (pay, transfer)
    rules = (ask("payments", reason="money leaves the house", tools=("pay",)),)

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[Receipt]:
        return await self.run_agent(task)
