"""Agents whose rules differ in who may decide, for the tests."""

from temporalio import workflow

from agentflow import AgentOutcome, AgentTask, AgentWorkflow, ask

with workflow.unsafe.imports_passed_through():
    from tests.workflow.agents import Banker, LongBanker
    from tests.workflow.settings import ENDLESS, PROVEN, QUICK
    from tests.workflow.tools import Report


@workflow.defn
class Hierarchic(AgentWorkflow[str, Report]):
    """Asks the support, and later the finance people too."""

    tools = Banker.tools
    rules = (ask("large", reason="large", tools=("pay",), roles=("support",), next_roles=("finance",)),)
    model_options = QUICK
    release = PROVEN

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[Report]:
        return await self.run_agent(task)


@workflow.defn
class Wirer(AgentWorkflow[str, Report]):
    """Asks two people of finance about each wire."""

    tools = Banker.tools
    rules = (ask("wires", reason="wires are final", tools=("wire",), roles=("finance",), people=2),)
    model_options = QUICK
    release = PROVEN

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[Report]:
        return await self.run_agent(task)


@workflow.defn
class LongWirer(Wirer):
    """Continues as new while it waits."""

    loop_limits = ENDLESS
    max_history_bytes = LongBanker.max_history_bytes

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[Report]:
        return await self.run_agent(task)
