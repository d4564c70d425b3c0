"""Agents whose tools take and give a lot, for the tests."""

import asyncio
from datetime import timedelta
from decimal import Decimal

from temporalio import workflow

from agentflow import AgentOutcome, AgentTask, AgentWorkflow, Budget, ToolOptions, allow, deny, tool

with workflow.unsafe.imports_passed_through():
    from tests.workflow.settings import ENDLESS, PROVEN, QUICK

QUARTER = 250_000
_LARGE = ToolOptions(max_result_bytes=300_000, max_argument_bytes=300_000)


class Archive:
    """Has long texts."""

    def __init__(self) -> None:
        self.read: list[int] = []
        self.running = self.most_running = 0

    @tool(effect="read", options=_LARGE)
    async def page(self, number: int) -> str:
        """A page of a quarter of a megabyte."""
        self.read.append(number)
        return f"page {number} " + "x" * QUARTER

    @tool(
        effect="read",
        local=True,
        options=ToolOptions(max_result_bytes=300_000, start_to_close_timeout=timedelta(seconds=2)),
    )
    async def near_page(self, number: int) -> str:
        """The same, in the run's own worker."""
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await asyncio.sleep(0.05)
        self.running -= 1
        self.read.append(number)
        return f"page {number} " + "x" * QUARTER

    @tool(effect="read", options=_LARGE)
    async def compare(self, text: str) -> int:
        """The length of a text."""
        self.read.append(len(text))
        return len(text)


@workflow.defn
class Reader(AgentWorkflow[str, str]):
    tools = (Archive.page, Archive.near_page, Archive.compare)
    rules = (
        deny(
            "enough",
            reason="nine pages have been read",
            tools=("page",),
            when=lambda c: len([page for page in c.outputs("page") if page.startswith("page ")]) >= 9,
        ),
        allow("reads", reason="reads need nobody"),
    )
    budget = Budget(cost_usd=Decimal("5.00"), model_calls=100, tool_calls=100)
    model_options = QUICK
    loop_limits = ENDLESS
    release = PROVEN

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)


@workflow.defn
class LongReader(Reader):
    """Continues as new whenever it may."""

    max_history_bytes = 1

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)


@workflow.defn
class ForgetfulReader(LongReader):
    """Takes little along."""

    max_carried_bytes = 500_000

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)


@workflow.defn
class Comparer(Reader):
    """Has control flow of its own, which compares twenty long texts at once."""

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)

    async def perform(self, task: AgentTask[str]) -> str:
        texts = [f"{number:02}" + "x" * QUARTER for number in range(20)]
        made = [self.call_tool(Archive.compare, {"text": text}) for text in texts]
        return ",".join(str(found.output) for found in await asyncio.gather(*made))
