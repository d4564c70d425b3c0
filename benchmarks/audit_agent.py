"""The agent of ``benchmarks.audit``: it looks, notes what a person allows, and answers."""

from temporalio import workflow

from agentflow import AgentOutcome, AgentTask, AgentWorkflow, Release, ask

with workflow.unsafe.imports_passed_through():
    from benchmarks.traces.agent import Books


@workflow.defn
class Treasurer(AgentWorkflow[str, str]):
    """Three model calls, a read, an approval and a write."""

    tools = (Books.look, Books.note)
    rules = (ask("notes", reason="a person sees each note", tools=("note",)),)
    release = Release(version="1", proven_models=("scripted:model",))

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        """Start."""
        return await self.run_agent(task)
