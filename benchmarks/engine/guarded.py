"""The agent on agentflow, with every guard on."""

from decimal import Decimal

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from agentflow import (
        AgentOutcome,
        AgentTask,
        AgentWorkflow,
        Budget,
        ModelOptions,
        RuleContext,
        allow,
        ask,
        deny,
    )
    from benchmarks.engine.script import INSTRUCTIONS
    from benchmarks.engine.tools import correct, look_up, look_up_locally

TURNS_AT_MOST = 5_000


def _known(context: RuleContext) -> bool:
    number = context.arguments["number"]
    return isinstance(number, int) and 0 < number <= TURNS_AT_MOST


def _repeated(context: RuleContext) -> bool:
    return len(context.past_calls) > TURNS_AT_MOST


RULES = (
    deny("too_often", reason="the run looks up more than it may", when=_repeated),
    ask("corrections", reason="a person reads corrections", tools=("correct",)),
    allow("known_records", reason="the record exists", tools=("look_up",), when=_known),
)


@workflow.defn
class Guarded(AgentWorkflow[str, str]):
    """Looks records up, each read an activity."""

    instructions = INSTRUCTIONS
    model_options = ModelOptions(max_output_tokens=500)
    tools = (look_up, correct)
    rules = RULES
    budget = Budget(cost_usd=Decimal(10_000), model_calls=TURNS_AT_MOST, tool_calls=TURNS_AT_MOST)

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        """Look the records up."""
        return await self.run_agent(task)


@workflow.defn
class GuardedLocal(Guarded):
    """The same, each read a local activity."""

    tools = (look_up_locally, correct)

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        """Look the records up."""
        return await self.run_agent(task)


WORKFLOWS = (Guarded, GuardedLocal)
