"""An agent whose types say what is personal, for ``test_redaction``."""

from temporalio import workflow

from agentflow import AgentOutcome, AgentTask, AgentWorkflow, ask

with workflow.unsafe.imports_passed_through():
    from tests.workflow.desk import Desk, Ticket
    from tests.workflow.settings import QUICK


@workflow.defn
class Marked(AgentWorkflow[Ticket, str]):
    instructions = "Greet."
    tools = (Desk.find, Desk.greet)
    rules = (ask("greetings", reason="a test", tools=("greet",)),)
    model_options = QUICK

    @workflow.run
    async def run(self, task: AgentTask[Ticket]) -> AgentOutcome[str]:
        return await self.run_agent(task)


@workflow.defn
class LongMarked(AgentWorkflow[Ticket, str]):
    """Continues as new early."""

    tools = (Desk.find, Desk.greet)
    rules = (ask("greetings", reason="a test", tools=("greet",)),)
    model_options = QUICK
    max_history_bytes = 1

    @workflow.run
    async def run(self, task: AgentTask[Ticket]) -> AgentOutcome[str]:
        return await self.run_agent(task)
