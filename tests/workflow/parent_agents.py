"""An agent that has another one do the work."""

from temporalio import workflow

from agentflow import AgentOutcome, AgentTask, AgentWorkflow

with workflow.unsafe.imports_passed_through():
    from tests.workflow.settings import PROVEN, QUICK


@workflow.defn
class Child(AgentWorkflow[str, str]):
    model_options = QUICK
    release = PROVEN

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)


@workflow.defn
class Parent(AgentWorkflow[str, str]):
    model_options = QUICK
    release = PROVEN

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)

    async def perform(self, task: AgentTask[str]) -> str:
        outcome = await workflow.execute_child_workflow(
            "Child",
            AgentTask(input=task.input, requested_by=task.requested_by),
            id=f"{workflow.info().workflow_id}-child",
            result_type=AgentOutcome[str],
        )
        return f"the child says {outcome.output}"
