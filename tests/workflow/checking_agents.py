"""An agent that wants to know who asked, for the tests."""

from temporalio import workflow

from agentflow import AgentOutcome, AgentTask, AgentWorkflow
from agentflow.core.ready_rules import verified_requester

with workflow.unsafe.imports_passed_through():
    from tests.workflow.agents import Banker
    from tests.workflow.settings import PROVEN, QUICK
    from tests.workflow.tools import Report


@workflow.defn
class CheckedBanker(AgentWorkflow[str, Report]):
    tools = Banker.tools
    rules = (*Banker.rules, verified_requester())
    model_options = QUICK
    release = PROVEN

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[Report]:
        return await self.run_agent(task)
