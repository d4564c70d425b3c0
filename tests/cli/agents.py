"""The agent that the command line's tests run. What it does is in its input."""

from pydantic import BaseModel
from temporalio import workflow

from agentflow import AgentOutcome, AgentTask, AgentWorkflow, Release, allow, ask

with workflow.unsafe.imports_passed_through():
    from tests.cli.tools import pay, transfer, wire


class Receipt(BaseModel):
    amount: str


@workflow.defn
class Cashier(AgentWorkflow[str, Receipt]):
    instructions = "Pay what is asked."
    # Else a person would have to approve what a rule allows.
    release = Release(version="1", proven_models=("scripted:model",))
    tools = (pay, transfer, wire)
    rules = (
        ask("payments", reason="money leaves the house", tools=("pay",)),
        ask("transfers", reason="a lot of money", tools=("transfer",), people=2, roles=("finance",)),
        allow("wires", reason="the bank asks by itself", tools=("wire",)),
        ask(
            "large_wires",
            reason="wires are final",
            tools=("wire",),
            when=lambda c: c.amount("amount") > 1_000,
            people=2,
            roles=("finance",),
        ),
    )

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[Receipt]:
        return await self.run_agent(task)
