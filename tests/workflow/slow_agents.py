"""Agents for what needs a slow look, or an input without an order. The sandbox loads this module for each run."""

from temporalio import workflow

from agentflow import AgentOutcome, AgentTask, AgentWorkflow

with workflow.unsafe.imports_passed_through():
    from tests.workflow.agents import LongBanker
    from tests.workflow.settings import PROVEN, QUICK
    from tests.workflow.slow_tools import SlowBank
    from tests.workflow.tools import Report

__all__ = ["Gatherer", "SlowBank", "SlowLooker"]


@workflow.defn
class SlowLooker(AgentWorkflow[str, Report]):
    tools = (SlowBank.look_slowly,)
    model_options = QUICK
    release = PROVEN

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[Report]:
        return await self.run_agent(task)


@workflow.defn
class Gatherer(AgentWorkflow[set[str], Report]):
    tools = LongBanker.tools
    rules = LongBanker.rules
    model_options = QUICK
    release = PROVEN
    budget = LongBanker.budget
    loop_limits = LongBanker.loop_limits
    max_history_bytes = LongBanker.max_history_bytes

    @workflow.run
    async def run(self, task: AgentTask[set[str]]) -> AgentOutcome[Report]:
        return await self.run_agent(task)
