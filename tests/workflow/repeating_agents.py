"""Agents that say beforehand what becomes of a write that an earlier run of their workflow id made."""

from temporalio import workflow

from agentflow import AgentOutcome, AgentTask
from tests.workflow.agents import Banker
from tests.workflow.tools import Report


@workflow.defn
class CountingBanker(Banker):
    """Lets it stand for its own."""

    earlier_effects = "count"

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[Report]:
        return await self.run_agent(task)


@workflow.defn
class RepeatingBanker(Banker):
    """Makes it again."""

    earlier_effects = "again"

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[Report]:
        return await self.run_agent(task)
