"""Agents that pay for what they call, and end in each way that there is."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from temporalio import workflow

from agentflow import (
    AgentOutcome,
    AgentTask,
    AgentWorkflow,
    Budget,
    RetryOptions,
    ToolContext,
    ToolOptions,
    allow,
    tool,
)
from agentflow.activity.tool import DidNotHappen, Happened
from agentflow.contracts.model import ModelAnswer, ModelCall
from agentflow.core.pricing import cost_usd
from agentflow.ports.model import ModelClient

with workflow.unsafe.imports_passed_through():
    from tests.workflow.settings import ENDLESS, PROVEN, QUICK

PRICE = Decimal("0.10")
PROMPTLY = RetryOptions(
    max_attempts=4, initial_interval=timedelta(milliseconds=10), max_interval=timedelta(milliseconds=20)
)
PAID = ToolOptions(cost_usd=PRICE, retry=PROMPTLY, max_effect_delay=timedelta(0))


@dataclass
class Shop:
    """Bills each call that reaches it."""

    billed: Decimal = Decimal(0)
    losing: int = 0
    """How many answers get lost from now on."""
    hangs: bool = False
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def _called(self) -> str:
        self.billed += PRICE
        self.reached.set()
        if self.hangs:
            await asyncio.Event().wait()
        if self.losing:
            self.losing -= 1
            raise ConnectionError("the answer was lost")
        return "done"

    @tool(effect="read", options=PAID)
    async def look_up(self, item: str) -> str:
        """Look something up."""
        return await self._called()

    @tool(effect="write", recovery="key", options=PAID)
    async def order(self, item: str, context: ToolContext) -> str:
        """Order something."""
        return await self._called()

    @tool(effect="write", recovery="probe", options=PAID)
    async def reserve(self, item: str, context: ToolContext) -> str:
        """Reserve something."""
        return await self._called()

    @reserve.probe
    async def find(self, item: str, context: ToolContext) -> Happened[str] | DidNotHappen:
        """Whether it is reserved."""
        self.billed += PRICE
        return DidNotHappen()


@dataclass
class Metered:
    """A model whose provider bills each answer."""

    inner: ModelClient
    billed: Decimal = Decimal(0)

    async def chat(self, call: ModelCall) -> ModelAnswer:
        """Ask, and bill."""
        said = await self.inner.chat(call)
        self.billed += cost_usd(said.usage, call.model.price)
        return said


@workflow.defn
class Shopper(AgentWorkflow[str, str]):
    """Does as it is told."""

    tools = (Shop.look_up, Shop.order, Shop.reserve)
    rules = (allow("all", reason="all is well", tools=("order", "reserve")),)
    budget = Budget(cost_usd=Decimal("3.00"), model_calls=100)
    loop_limits = ENDLESS
    model_options = QUICK
    release = PROVEN

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)

    async def postflight(self, output: str) -> None:
        if output == "withhold this":
            raise ValueError("this must not leave")


@workflow.defn
class Waiting(Shopper):
    """Waits for nothing at all when it is done, or stumbles."""

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)

    async def perform(self, task: AgentTask[str]) -> str:
        said = await super().perform(task)
        if task.input == "stumble":
            raise KeyError("a bug of the agent's")
        await workflow.sleep(timedelta(days=1))
        return said


@workflow.defn
class LongShopper(Shopper):
    """Continues as new every few turns."""

    max_history_bytes = 12_000

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)
