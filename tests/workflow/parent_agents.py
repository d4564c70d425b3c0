"""Workflows that have an agent do the work: one that is no agent's run may, a run may not."""

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


async def have_done(workflow_type: str, task: AgentTask[str]) -> str:
    outcome = await workflow.execute_child_workflow(
        workflow_type,
        AgentTask(input=task.input, requested_by=task.requested_by),
        id=f"{workflow.info().workflow_id}-child",
        result_type=AgentOutcome[str],
    )
    return f"the child says {outcome.output}" if outcome.output else f"{outcome.status}: {outcome.reason}"


@workflow.defn
class Parent:
    """No run: it has no budget that its child could pass."""

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return AgentOutcome(status="completed", output=await have_done("Child", task))


@workflow.defn
class GoBetween(Parent):
    """Of what a run starts, it starts another run: in a later execution of its own."""

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        if workflow.info().continued_run_id is None:
            workflow.continue_as_new(task)
        return AgentOutcome(status="completed", output=await have_done("Child", task))


@workflow.defn
class Delegating(AgentWorkflow[str, str]):
    """A run that starts what its task names."""

    model_options = QUICK
    release = PROVEN

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)

    async def perform(self, task: AgentTask[str]) -> str:
        return await have_done(task.input, task)
