"""Agents with control flow of their own, for the tests."""

import asyncio
from datetime import timedelta
from typing import ClassVar

from temporalio import workflow

from agentflow import AgentOutcome, AgentTask, AgentWorkflow, Budget, RunDenied, allow, deny

with workflow.unsafe.imports_passed_through():
    from tests.workflow.settings import PROVEN, QUICK
    from tests.workflow.tools import Bank


@workflow.defn
class Careful(AgentWorkflow[str, str]):
    """Checks before and after, asks for one approval of its own, cites what it saw."""

    tools = (Bank.balance,)
    model_options = QUICK
    release = PROVEN
    forbidden: ClassVar[str] = "bomb"

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)

    async def preflight(self, task: AgentTask[str]) -> None:
        if self.forbidden in task.input:
            raise RunDenied("not about that")
        if "crash" in task.input:
            raise ValueError("the check itself is broken")
        if "exit" in task.input:
            raise SystemExit("the check ends the process")

    async def perform(self, task: AgentTask[str]) -> str:
        result = await self.call_tool(Bank.balance, {"account": "alice"})
        self.cite(result.call_id, "/balance")
        agreed = await self.request_approval(
            "close", arguments={"account": "alice"}, reason="closing is final"
        )
        if agreed.status != "approved":
            return f"kept open: {agreed.status}"
        if "guide" in task.input:
            return (await self.escalate("how?")).text
        return await self.chat("Say goodbye.", output_type=str)

    async def postflight(self, output: str) -> None:
        if "secret" in output:
            raise RunDenied("the output has a secret")


@workflow.defn
class Buggy(AgentWorkflow[str, str]):
    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)

    async def perform(self, task: AgentTask[str]) -> str:
        if "exit" in task.input:
            raise SystemExit("oops")
        raise KeyError("oops")


@workflow.defn
class Verbose(AgentWorkflow[int, str]):
    """Answers text of as many characters as it is asked for."""

    instructions = "You talk."
    models = ("scripted:model",)

    @workflow.run
    async def run(self, task: AgentTask[int]) -> AgentOutcome[str]:
        return await self.run_agent(task)

    async def perform(self, task: AgentTask[int]) -> str:
        return "x" * task.input


@workflow.defn
class Hasty(AgentWorkflow[str, str]):
    tools = (Bank.audit,)
    budget = Budget(wall_time=timedelta(hours=1))
    model_options = QUICK

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)

    async def perform(self, task: AgentTask[str]) -> str:
        await workflow.sleep(timedelta(days=2))
        return "late"


@workflow.defn
class Remitter(AgentWorkflow[str, str]):
    """Pays in a step of its own, and says what became of it."""

    tools = (Bank.balance, Bank.remit, Bank.wire, Bank.pay_regardless)
    rules = (allow("all", reason="a test", tools=("remit", "wire", "pay_regardless")),)
    model_options = QUICK
    release = PROVEN

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)

    async def perform(self, task: AgentTask[str]) -> str:
        tool, _, account = task.input.partition(" ")
        tools = {"remit": Bank.remit, "wire": Bank.wire, "regardless": Bank.pay_regardless}
        first = await self.call_tool(tools[tool], {"account": account, "amount": "10.00"})
        second = await self.call_tool(Bank.balance, {"account": "alice"})
        assert second.ok
        return first.output or (first.error.message if first.error else "")


@workflow.defn
class Stepper(AgentWorkflow[int, list[str]]):
    """Control flow of its own: pays in steps, and may continue as new between them."""

    tools = (Bank.pay,)
    rules = (allow("all", reason="a test", tools=("pay",)),)
    release = PROVEN
    max_history_bytes = 10_000

    @workflow.run
    async def run(self, task: AgentTask[int]) -> AgentOutcome[list[str]]:
        return await self.run_agent(task)

    async def perform(self, task: AgentTask[int]) -> list[str]:
        done: list[str] = self.progress or []
        for number in range(len(done), task.input):
            paid = await self.call_tool(Bank.pay, {"account": "alice", "amount": f"{number}.00"})
            done = [*done, paid.output]
            await self.checkpoint(done)
        return done


@workflow.defn
class Twofold(AgentWorkflow[str, str]):
    """Makes the same payment twice at once, and means both."""

    tools = (Bank.pay,)
    rules = (allow("all", reason="a test", tools=("pay",)),)
    release = PROVEN

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)

    async def perform(self, task: AgentTask[str]) -> str:
        payment = {"account": "alice", "amount": "10.00"}
        await asyncio.gather(self.call_tool(Bank.pay, payment), self.call_tool(Bank.pay, payment))
        return "paid"


@workflow.defn
class Patient(AgentWorkflow[str, str]):
    """Waits, step by step."""

    budget = Budget(wall_time=timedelta(hours=2))
    max_history_bytes = 1

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)

    async def perform(self, task: AgentTask[str]) -> str:
        for step in range(self.progress or 0, 100):
            await workflow.sleep(timedelta(minutes=5))
            await self.checkpoint(step + 1)
        return "late"


@workflow.defn
class Forbidden(AgentWorkflow[str, str]):
    """Tries, as its very first step, what a rule in code denies."""

    tools = (Bank.pay,)
    rules = (
        deny("none", reason="nobody is paid", tools=("pay",), when=lambda c: c.amount("amount") > 0),
        allow("all", reason="a test", tools=("pay",)),
    )
    budget = Budget(wall_time=timedelta(hours=1))
    release = PROVEN

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)

    async def perform(self, task: AgentTask[str]) -> str:
        found = await self.call_tool(Bank.pay, {"account": "alice", "amount": "5.00"})
        return found.error.message if found.error else "paid"
