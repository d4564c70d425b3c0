"""Agents with a route of two models. Temporal's sandbox loads this module for each run of theirs."""

from decimal import Decimal

from temporalio import workflow

from agentflow import AgentOutcome, AgentTask, Budget

with workflow.unsafe.imports_passed_through():
    from tests.workflow.agents import Banker
    from tests.workflow.tools import Report


@workflow.defn
class Routed(Banker):
    """Asks another model where the first one doesn't finish."""

    models = ("default", "other:model")

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[Report]:
        return await self.run_agent(task)


@workflow.defn
class Penniless(Banker):
    """Can't pay for a single call."""

    budget = Budget(cost_usd=Decimal("0.0001"))

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[Report]:
        return await self.run_agent(task)
