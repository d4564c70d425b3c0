"""The agent that the command line's tests run. What it does is in its input."""

from pydantic import BaseModel
from temporalio import workflow

from agentflow import AgentOutcome, AgentTask, AgentWorkflow, ask

with workflow.unsafe.imports_passed_through():
    from tests.cli.tools import pay, transfer


class Receipt(BaseModel):
    amount: str


@workflow.defn
class Cashier(AgentWorkflow[str, Receipt]):
    instructions = "Pay what is asked."
    tools = (pay, transfer)
    rules = (
        ask("payments", reason="money leaves the house", tools=("pay",)),
        ask("transfers", reason="a lot of money", tools=("transfer",), people=2, roles=("finance",)),
    )

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[Receipt]:
        return await self.run_agent(task)
