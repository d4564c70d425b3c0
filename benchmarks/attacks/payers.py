"""Agents whose payments all need two people. Temporal's sandbox loads this module for each run."""

from temporalio import workflow

from agentflow import AgentOutcome, AgentTask, ask
from agentflow.core.rules import EVERY_TIER

with workflow.unsafe.imports_passed_through():
    from benchmarks.attacks.bank import Cashier, Teller
    from benchmarks.attacks.late_bank import TOOLS, LateBank


@workflow.defn
class Payer(Cashier):
    """Asks two people about each payment."""

    tools = (LateBank.pay, LateBank.remit, LateBank.wire)
    rules = (ask("two", reason="two people", tools=TOOLS, people=2, tiers=EVERY_TIER),)

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        """Serve a customer."""
        return await self.run_agent(task)


@workflow.defn
class LongPayer(Payer):
    """The same, continuing as new as soon as it may."""

    max_history_bytes = Teller.max_history_bytes

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        """Serve a customer."""
        return await self.run_agent(task)
