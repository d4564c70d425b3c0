"""Agents in pairs: what runs began with, and what a deploy put in its place under the same workflow type."""

import types
from typing import Annotated, Any

from pydantic import BaseModel, field_serializer, field_validator
from temporalio import workflow

from agentflow import (
    AgentOutcome,
    AgentTask,
    AgentWorkflow,
    ModelOptions,
    Release,
    RuleContext,
    allow,
    ask,
    deny,
    sinks_from_trusted_input,
)
from agentflow.core.compaction import ClearToolOutputs, SummariseOldest

with workflow.unsafe.imports_passed_through():
    from agentflow.contracts.tags import Personal
    from tests.workflow.agents import is_large
    from tests.workflow.deployed_agents import SureReport
    from tests.workflow.desk import Desk
    from tests.workflow.settings import ENDLESS, PROVEN, QUICK
    from tests.workflow.tools import Bank, Report
    from tests.workflow.verifying_agents import Badge


RULES = (
    allow("small", reason="small payments need nobody", tools=("pay",)),
    ask("large", reason="large payments need a person", tools=("pay",), when=is_large),
)


def agent(name: str, workflow_type: str, takes: Any = str, answers: Any = Report, **attributes: Any) -> type:
    """A class as its source would have it; the sandbox looks it up by its name."""

    async def run(self: Any, task: Any) -> Any:
        return await self.run_agent(task)

    run.__annotations__ = {"task": AgentTask[takes], "return": AgentOutcome[answers]}
    run.__qualname__ = f"{name}.run"
    common = {
        "tools": (Bank.balance, Bank.pay),
        "rules": RULES,
        "model_options": QUICK,
        "release": PROVEN,
    }

    def body(space: dict[str, Any]) -> None:
        space.update({"__module__": __name__, "__qualname__": name, **common, **attributes})
        space["run"] = workflow.run(run)

    made = types.new_class(name, (AgentWorkflow[takes, answers],), {}, body)
    return workflow.defn(name=workflow_type)(made)


BOOKS = Release(version="1", proven_models=PROVEN.proven_models, scopes=("books",))
Scoped = agent("Scoped", "Scoped", tools=(Bank.pay, Bank.ledger), release=BOOKS)
Unscoped = agent("Unscoped", "Scoped", tools=(Bank.pay, Bank.ledger))

ASKS: dict[str, Any] = {"rules": (ask("all", reason="a person agrees", tools=("pay",)),)}
Clerk = agent("Clerk", "Clerk", **ASKS)
Bookkeeper = agent("Bookkeeper", "Clerk", **ASKS)

READS: dict[str, Any] = {"tools": (Bank.statement, Bank.pay), "models": ("default", "scripted:cheap")}
Summarising = agent("Summarising", "Reader", compaction=SummariseOldest(keep=2), **READS)
Clearing = agent("Clearing", "Reader", compaction=ClearToolOutputs(keep=1), **READS)


class Order(BaseModel):
    text: str
    account: str = "alice"


class WordyOrder(Order):
    terms: str = "x" * 10_000


class ShortOrder(BaseModel):
    text: str


class FailingOrder(Order):
    @field_validator("text")
    @classmethod
    def _look_up(cls, text: str) -> str:
        return {"other": "x"}[text]


class UnsayableOrder(Order):
    @field_serializer("text")
    def _look_up(self, text: str) -> str:
        return {"other": "x"}[text]


TAKES: dict[str, Any] = {"max_input_bytes": 4_000}
Ordered = agent("Ordered", "Ordered", Order, **TAKES)
OrderedWordily = agent("OrderedWordily", "Ordered", WordyOrder, **TAKES)
OrderedShortly = agent("OrderedShortly", "Ordered", ShortOrder, **TAKES)
OrderedFailing = agent("OrderedFailing", "Ordered", FailingOrder, **TAKES)
OrderedUnsayably = agent("OrderedUnsayably", "Ordered", UnsayableOrder, **TAKES)

LONG: dict[str, Any] = {
    "rules": (*RULES, sinks_from_trusted_input()),
    "loop_limits": ENDLESS,
    "max_history_bytes": 1_000,
    "tools": (Bank.balance, Bank.pay, Bank.statement),
}
LongOrdered = agent("LongOrdered", "LongOrdered", Order, **LONG)
LongOrderedShortly = agent("LongOrderedShortly", "LongOrdered", ShortOrder, **LONG)


class FailingReport(Report):
    @field_validator("account")
    @classmethod
    def _is_known(cls, account: str) -> str:
        return {"bob": account}[account]


Sure = agent("Sure", "Reporting", answers=SureReport)
Failing = agent("Failing", "Reporting", answers=FailingReport)


class Case(BaseModel):
    text: Annotated[str, Personal("text")]


class OpenCase(BaseModel):
    text: str


CASES: dict[str, Any] = {
    "tools": (Desk.greet,),
    "rules": (ask("all", reason="a test", tools=("greet",)),),
    "model_options": ModelOptions(max_output_tokens=40_000),
}
Cased = agent("Cased", "Casing", Case, **CASES)
OpenlyCased = agent("OpenlyCased", "Casing", OpenCase, **CASES)

Badged = agent("Badged", "Verifying", approver_verifier=Badge())
Unbadged = agent("Unbadged", "Verifying")


class Limit:
    def __init__(self, most: int) -> None:
        self.most = most


def over(limit: Limit) -> Any:
    """Conditions that differ in nothing but an object."""

    def is_over(context: RuleContext) -> bool:
        return context.amount("amount") > limit.most

    return is_over


LIMITS: dict[str, Any] = {
    "rules": (
        allow("any", reason="by default", tools=("pay",)),
        deny("much", reason="too much", tools=("pay",), when=over(Limit(50))),
        ask("very much", reason="far too much", tools=("pay",), when=over(Limit(5_000))),
        ask("wait", reason="the first", tools=("pay",), when=lambda c: c.arguments["account"] == "wait"),
    )
}
Limited = agent("Limited", "Limited", **LIMITS)
LimitedOtherwise = agent("LimitedOtherwise", "Limited", instructions="Do it.", **LIMITS)
