"""Agents whose model works by itself, for the tests."""

from temporalio import workflow

from agentflow import AgentOutcome, AgentTask, AgentWorkflow, ModelOptions, allow, deny
from agentflow.contracts.loops import LoopLimits
from agentflow.core.compaction import ClearToolOutputs, SummariseOldest

with workflow.unsafe.imports_passed_through():
    from tests.workflow.settings import PROVEN, QUICK, SHORT
    from tests.workflow.tools import Bank, Report


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
class Circling(AgentWorkflow[str, Report]):
    """Is stopped early when it goes in circles."""

    tools = (Bank.balance, Bank.glance)
    loop_limits = LoopLimits(same_call=3, failures_in_a_row=2, turns_without_progress=4)
    model_options = QUICK

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[Report]:
        return await self.run_agent(task)


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
