"""Agents that end, go on or fail while a call of theirs is under way."""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from agentflow import AgentOutcome, AgentTask

with workflow.unsafe.imports_passed_through():
    from tests.workflow.metered_agents import Shop, Shopper


@workflow.defn
class Hasty(Shopper):
    """Goes on without a look-up that is slow, to its end or to a bug, as its task says."""

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)

    async def perform(self, task: AgentTask[str]) -> str:
        look = asyncio.create_task(self.call_tool(Shop.look_up, {"item": "tea"}))
        await workflow.sleep(timedelta(milliseconds=200))
        if task.input == "stumble":
            raise KeyError("a bug of the agent's")
        return "without it" if not look.done() else "with it"


@workflow.defn
class HastyInChat(Shopper):
    """Would continue as new while its model is asked."""

    max_history_bytes = 1

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)

    async def perform(self, task: AgentTask[str]) -> str:
        if self.progress:
            return "in another execution"
        for number in range(5):
            await self.call_tool(Shop.look_up, {"item": str(number)})
        question = asyncio.create_task(self.chat("what now?", output_type=str))
        await workflow.sleep(timedelta(milliseconds=200))
        await self.checkpoint(True)
        return await question


@workflow.defn
class Again(Shopper):
    """Fails twice in a way that Temporal may try again."""

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)

    async def perform(self, task: AgentTask[str]) -> str:
        await self.call_tool(Shop.look_up, {"item": "tea"})
        if workflow.info().attempt < 3:
            raise ApplicationError("once more")
        return "done"


@workflow.defn
class AgainLater(Shopper):
    """Continues as new, and fails then in a way that Temporal may try again."""

    max_history_bytes = 1

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)

    async def perform(self, task: AgentTask[str]) -> str:
        if self.progress is None:
            for number in range(5):
                await self.call_tool(Shop.look_up, {"item": str(number)})
            await self.checkpoint(True)
        await self.call_tool(Shop.look_up, {"item": "tea"})
        raise ApplicationError("once more")


@workflow.defn
class LaterAgain(Shopper):
    """Fails in a way that Temporal may try again, and continues as new then."""

    max_history_bytes = 1

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)

    async def perform(self, task: AgentTask[str]) -> str:
        if self.progress is None:
            await self.call_tool(Shop.look_up, {"item": "tea"})
            if workflow.info().attempt == 1:
                raise ApplicationError("once more")
            for number in range(4):
                await self.call_tool(Shop.look_up, {"item": str(number)})
            await self.checkpoint(True)
        await self.call_tool(Shop.look_up, {"item": "more"})
        return "done"
