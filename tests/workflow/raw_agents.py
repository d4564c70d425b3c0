"""Agents whose rules look at arguments, for the tests."""

from typing import Any

from temporalio import workflow

from agentflow import AgentOutcome, AgentTask, AgentWorkflow, RuleContext, allow, ask, deny

with workflow.unsafe.imports_passed_through():
    from tests.workflow.raw_tools import Posts
    from tests.workflow.settings import PROVEN, QUICK


def is_for_eve(context: RuleContext) -> bool:
    """Whether the parcel goes to somebody who gets none."""
    return context.arguments["to"] == "eve@evil.example"


def is_heavy(context: RuleContext) -> bool:
    """Whether people are asked."""
    return context.arguments["parcel"]["weight"] == "1000"


RULES = (
    deny("eve", reason="Eve gets nothing", tools=("post",), when=is_for_eve),
    ask("heavy", reason="heavy", tools=("post",), when=is_heavy),
    allow("post", reason="parcels", tools=("post",)),
)


@workflow.defn
class Poster(AgentWorkflow[str, str]):
    """Sends what the model wants to have sent."""

    tools = (Posts.post,)
    rules = RULES
    model_options = QUICK
    release = PROVEN

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)


def is_weighed(context: RuleContext) -> bool:
    """Look at the weight, and take it away from whoever looks next."""
    return context.arguments["parcel"].pop("weight") == "5"


@workflow.defn
class Meddler(AgentWorkflow[str, str]):
    """Has a rule that changes what it looks at."""

    tools = (Posts.post,)
    rules = (allow("weighed", reason="light", tools=("post",), when=is_weighed),)
    model_options = QUICK
    release = PROVEN

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)


@workflow.defn
class Steady(AgentWorkflow[dict[str, Any], str]):
    """Sends what the task says, without a model."""

    tools = (Posts.post,)
    rules = RULES
    model_options = QUICK
    release = PROVEN

    @workflow.run
    async def run(self, task: AgentTask[dict[str, Any]]) -> AgentOutcome[str]:
        return await self.run_agent(task)

    async def perform(self, task: AgentTask[dict[str, Any]]) -> str:
        """Send it."""
        result = await self.call_tool(Posts.post, task.input, tell=False)
        return result.error.message if result.error else str(result.output)
