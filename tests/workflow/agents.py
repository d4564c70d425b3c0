"""Agents with a bank account, for the tests. Temporal's sandbox loads this module for each run of theirs."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import cast

from temporalio import workflow

from agentflow import AgentOutcome, AgentTask, AgentWorkflow, Budget, Rule, RuleContext, allow, ask, deny
from agentflow.core.rules import EVERY_TIER

with workflow.unsafe.imports_passed_through():
    from tests.workflow.settings import ENDLESS, PROVEN, QUICK
    from tests.workflow.tools import Bank, Report


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
class BankerEverywhere(Banker):
    rules = tuple(replace(rule, tiers=EVERY_TIER) for rule in cast(tuple[Rule, ...], Banker.rules))

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
class Brief(Banker):
    """Continues as new as soon as it may."""

    max_history_bytes = 1

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
class Impatient(Banker):
    """Waits for people for a moment only."""

    approval_timeout = timedelta(seconds=8)

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[Report]:
        return await self.run_agent(task)
