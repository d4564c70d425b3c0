"""The test bank's agent as deploys change it: each class differs from ``Banker`` in one thing."""

from datetime import timedelta
from decimal import Decimal
from typing import TypeVar

from pydantic import BaseModel, field_validator
from temporalio import workflow

from agentflow import AgentOutcome, AgentTask, AgentWorkflow, Budget, RuleContext, RunDenied, allow, ask, deny
from agentflow.core.ready_rules import sinks_from_trusted_input

with workflow.unsafe.imports_passed_through():
    from agentflow.contracts.loops import LoopLimits
    from agentflow.contracts.manifest import Release
    from agentflow.contracts.model import ModelOptions
    from tests.workflow.agents import Banker
    from tests.workflow.tools import Bank, Report

InputT = TypeVar("InputT")
OutputT = TypeVar("OutputT")
PAYS = ("pay", "pay_regardless", "wire")


def deployed(kind: type[Banker]) -> type:
    """The class as the worker of a deploy has it."""

    async def run(self, task: AgentTask[str]) -> AgentOutcome[Report]:  # type: ignore[no-untyped-def]
        return await self.run_agent(task)

    run.__qualname__ = f"{kind.__name__}.run"
    space = {"run": workflow.run(run), "__module__": __name__, "__qualname__": kind.__name__}
    return workflow.defn(name="Banker")(type(kind.__name__, (kind,), space))


@deployed
class Instructed(Banker, abstract=True):
    instructions = "Do what the client asks."


@deployed
class Toolless(Banker, abstract=True):
    tools = (Bank.balance, Bank.pay)
    rules = (allow("small", reason="small payments", tools=("pay",)), *Banker.rules[1:])


@deployed
class Reordered(Banker, abstract=True):
    tools = tuple(reversed(Banker.tools))


@deployed
class Poor(Banker, abstract=True):
    budget = Budget(cost_usd=Decimal("0.000001"), model_calls=1, tool_calls=1)


@deployed
class Unclocked(Banker, abstract=True):
    budget = Budget(cost_usd=Decimal("0.10"), wall_time=None)


@deployed
class Hasty(Banker, abstract=True):
    approval_timeout = timedelta(seconds=1)
    escalation_timeout = timedelta(seconds=1)


@deployed
class Hot(Banker, abstract=True):
    model_options = ModelOptions(max_output_tokens=11, temperature=1.5)


@deployed
class Impatient(Banker, abstract=True):
    loop_limits = LoopLimits(same_call=1, failures_in_a_row=1, turns_without_progress=1)


@deployed
class Uncompacted(Banker, abstract=True):
    compaction = None


@deployed
class Short(Banker, abstract=True):
    max_input_bytes = 1


@deployed
class Distrustful(Banker, abstract=True):
    untrusted_input = ("",)


@deployed
class Forbidding(Banker, abstract=True):
    rules = (*Banker.rules, deny("nobody", reason="nobody is paid", tools=PAYS))


@deployed
class Lax(Banker, abstract=True):
    rules = (allow("all", reason="whatever", tools=PAYS), *Banker.rules[1:])


@deployed
class Watchful(Banker, abstract=True):
    rules = (*Banker.rules, sinks_from_trusted_input())


@deployed
class Unproven(Banker, abstract=True):
    release = Release(version="9")


@deployed
class Guarding(Banker, abstract=True):
    async def preflight(self, task: AgentTask[str]) -> None:
        raise RunDenied("nothing is done any more")


@deployed
class Withholding(Banker, abstract=True):
    async def postflight(self, output: Report) -> None:
        raise RunDenied("nothing leaves any more")


class FullReport(BaseModel):
    account: str
    amount: str
    currency: str


class SureReport(Report):
    @field_validator("account")
    @classmethod
    def _is_bob(cls, account: str) -> str:
        if account != "bob":
            raise ValueError("only bob has accounts")
        return account


class Question(BaseModel):
    text: str
    urgent: bool = False


class LikeBanker(AgentWorkflow[InputT, OutputT], abstract=True):
    """``Banker``, but for what goes in and what comes out."""

    instructions, tools, rules = Banker.instructions, Banker.tools, Banker.rules
    budget, model_options, release = Banker.budget, Banker.model_options, Banker.release


@workflow.defn(name="Banker")
class FullyReporting(LikeBanker[str, FullReport]):
    """Its output type has one more field."""

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[FullReport]:
        return await self.run_agent(task)


@workflow.defn(name="Banker")
class SurelyReporting(LikeBanker[str, SureReport]):
    """Its output type has a validator that refuses what was accepted."""

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[SureReport]:
        return await self.run_agent(task)


@workflow.defn(name="Banker")
class Asked(LikeBanker[Question, Report]):
    """Its input type is another one."""

    @workflow.run
    async def run(self, task: AgentTask[Question]) -> AgentOutcome[Report]:
        return await self.run_agent(task)


def _is_large(context: RuleContext) -> bool:
    return context.amount("amount") > 5


@workflow.defn(name="Banker")
class Recoded(Banker):
    """The condition of the rule that asked is other code."""

    rules = (Banker.rules[0], ask("large", reason="large payments", tools=("pay",), when=_is_large))

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[Report]:
        return await self.run_agent(task)
