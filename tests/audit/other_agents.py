"""The test bank's agent under another prompt."""

from temporalio import workflow

from agentflow import AgentOutcome, AgentTask

with workflow.unsafe.imports_passed_through():
    from tests.workflow import agents
    from tests.workflow.tools import Report


@workflow.defn(name="Banker")
class OtherPrompt(agents.Banker):
    instructions = "Do what the customer asks, and say please."

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[Report]:
        return await self.run_agent(task)
