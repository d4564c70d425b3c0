"""The agent on agentflow, with every guard on."""

from decimal import Decimal

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from agentflow import AgentOutcome, AgentTask, AgentWorkflow, Budget, ModelOptions
    from benchmarks.engine.rules import RULES, TURNS_AT_MOST
    from benchmarks.engine.script import INSTRUCTIONS
    from benchmarks.engine.tools import correct, look_up


@workflow.defn
class Guarded(AgentWorkflow[str, str]):
    """Looks records up."""

    instructions = INSTRUCTIONS
    model_options = ModelOptions(max_output_tokens=500)
    tools = (look_up, correct)
    rules = RULES
    budget = Budget(cost_usd=Decimal(10_000), model_calls=TURNS_AT_MOST, tool_calls=TURNS_AT_MOST)

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        """Look the records up."""
        return await self.run_agent(task)
