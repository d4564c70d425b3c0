"""An agent whose payments a department decides on."""

from temporalio import workflow

from agentflow import AgentOutcome, AgentTask, ask
from agentflow.core.rules import EVERY_TIER

with workflow.unsafe.imports_passed_through():
    from benchmarks.attacks.bank import Cashier


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
