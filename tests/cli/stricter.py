"""The test bank's agent, which pays nobody any more."""

from temporalio import workflow

from agentflow import AgentOutcome, AgentTask, deny

with workflow.unsafe.imports_passed_through():
    from tests.workflow import agents


@workflow.defn
class StrictBanker(agents.Banker):
    rules = (
        *agents.Banker.rules,
        deny("nobody", reason="nobody is paid", effects=("write", "irreversible")),
    )

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[agents.Report]:
        return await self.run_agent(task)
