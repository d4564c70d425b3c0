"""Agents for the tests, in a module of their own, as Temporal's sandbox loads it for each run."""

from datetime import timedelta
from decimal import Decimal
from typing import ClassVar

from pydantic import BaseModel
from temporalio import workflow

from agentflow import (
    AgentOutcome,
    AgentTask,
    AgentWorkflow,
    Budget,
    ModelOptions,
    Release,
    RetryOptions,
    RuleContext,
    RunDenied,
    allow,
    ask,
    deny,
)
from agentflow.contracts.loops import LoopLimits
from agentflow.core.compaction import ClearToolOutputs, SummariseOldest

with workflow.unsafe.imports_passed_through():
    from tests.workflow.tools import Bank

QUICK = ModelOptions(
    max_output_tokens=200,
    retry=RetryOptions(
        max_attempts=3, initial_interval=timedelta(milliseconds=10), max_interval=timedelta(milliseconds=20)
    ),
)
ENDLESS = LoopLimits(same_call=None, failures_in_a_row=None, turns_without_progress=None)
SHORT = timedelta(seconds=2)
"""A worker that is silent this long is dead, in tests that kill one."""
PROVEN = Release(version="1", proven_models=("scripted:model",))


class Report(BaseModel):
    account: str
    amount: str


def is_large(context: RuleContext) -> bool:
    return context.amount("amount") > 500


def is_huge(context: RuleContext) -> bool:
    return context.amount("amount") > 1000


@workflow.defn
class Banker(AgentWorkflow[str, Report]):
    instructions = "Do what the customer asks."
    tools = (Bank.balance, Bank.pay, Bank.pay_regardless, Bank.wire, Bank.audit)
    rules = (
        allow("small", reason="small payments need nobody", tools=("pay", "pay_regardless", "wire")),
        ask("large", reason="large payments need a person", tools=("pay",), when=is_large),
        ask("huge", reason="huge payments need two people", tools=("pay",), when=is_huge, people=2),
        deny(
            "frozen",
            reason="the account is frozen",
            tools=("pay",),
            when=lambda c: c.arguments["account"] == "frozen",
        ),
    )
    budget = Budget(cost_usd=Decimal("0.10"), model_calls=10, tool_calls=10)
    model_options = QUICK
    release = PROVEN

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[Report]:
        return await self.run_agent(task)


@workflow.defn
class UnprovenBanker(AgentWorkflow[str, Report]):
    tools = Banker.tools
    rules = Banker.rules
    model_options = QUICK

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[Report]:
        return await self.run_agent(task)


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
class Unpriced(AgentWorkflow[str, str]):
    models = ("nowhere:model",)

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)


@workflow.defn
class Payer(AgentWorkflow[str, Report]):
    """Its payments tool has a short heartbeat, so that a killed worker is noticed soon."""

    tools = (Bank.balance, Bank.pay_promptly)
    rules = (allow("all", reason="a test", tools=("pay_promptly",)),)
    model_options = ModelOptions(heartbeat_timeout=SHORT)
    release = PROVEN

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[Report]:
        return await self.run_agent(task)


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
class LongBanker(Banker):
    """Continues as new every few turns."""

    loop_limits = ENDLESS
    max_history_bytes = 15_000
    budget = Budget(cost_usd=Decimal("1.00"), model_calls=100, tool_calls=100)
    rules = (
        *Banker.rules,
        deny(
            "often",
            reason="bob was paid three times",
            tools=("pay",),
            when=lambda c: (
                c.arguments["account"] == "bob" and len([o for o in c.outputs("pay") if "bob" in o]) >= 3
            ),
        ),
    )

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[Report]:
        return await self.run_agent(task)


@workflow.defn
class Circling(AgentWorkflow[str, Report]):
    """Is stopped early when it goes in circles."""

    tools = (Bank.balance, Bank.glance)
    loop_limits = LoopLimits(same_call=3, failures_in_a_row=2, turns_without_progress=4)
    model_options = QUICK

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[Report]:
        return await self.run_agent(task)


@workflow.defn
class SuggestedBanker(Banker):
    """Continues as new when Temporal suggests it."""

    loop_limits = ENDLESS
    budget = LongBanker.budget

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[Report]:
        return await self.run_agent(task)


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
class Patient(AgentWorkflow[str, str]):
    """Waits, step by step."""

    budget = Budget(wall_time=timedelta(hours=1))
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
class Forgetful(AgentWorkflow[str, str]):
    """Its model takes little; old outputs of tools are cleared."""

    tools = (Bank.statement,)
    compaction = ClearToolOutputs(keep=1)
    model_options = QUICK

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)


@workflow.defn
class Summarising(AgentWorkflow[str, str]):
    """Its model takes little; the second model summarises."""

    models = ("default", "scripted:cheap")
    tools = (Bank.statement,)
    compaction = SummariseOldest(keep=2)
    model_options = QUICK

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)


@workflow.defn
class Local(AgentWorkflow[str, str]):
    """Its reads run in the workflow's own worker."""

    tools = (Bank.glance, Bank.pay)
    rules = (deny("hidden", reason="not for the model", when=lambda c: c.arguments["account"] == "hidden"),)
    model_options = QUICK

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        return await self.run_agent(task)


ALL = [
    Banker,
    UnprovenBanker,
    Careful,
    Buggy,
    Hasty,
    Verbose,
    Unpriced,
    Payer,
    Remitter,
    LongBanker,
    Circling,
    SuggestedBanker,
    Stepper,
    Patient,
    Forgetful,
    Summarising,
    Local,
]
