"""The agent, and the releases of it that are deployed."""

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from pydantic import BaseModel
from temporalio import workflow

from agentflow import (
    AgentOutcome,
    AgentTask,
    AgentWorkflow,
    Budget,
    Release,
    RetryOptions,
    RuleContext,
    allow,
    ask,
)
from agentflow.contracts.model import ModelOptions
from agentflow.contracts.wire import Json
from benchmarks.deploys import tools
from benchmarks.deploys.outside import Outside
from benchmarks.deploys.tools import AnyTool


class Order(BaseModel):
    """What a run is to do. The scripted model finds the run's name and its state here."""

    run: str
    state: str
    account: str = "A-1"


class Receipt(BaseModel):
    """What a run answers."""

    account: str
    amount: str


def is_large(context: RuleContext) -> bool:
    """A condition that is code."""
    return context.amount("amount") > 500


RULES = (
    allow("notes", reason="notes are harmless", tools=("note", "ship")),
    ask("transfers", reason="money leaves the house", tools=("transfer",)),
    allow("small", reason="small payments need nobody", tools=("pay",)),
    ask("large", reason="large ones need somebody", tools=("pay",), when=is_large),
)


@dataclass(frozen=True)
class Parts:
    """What a release is made of."""

    tools: tuple[AnyTool, ...]
    attributes: Mapping[str, Any]
    """Of the agent's class."""
    input_type: type = Order
    output_type: type = Receipt
    class_name: str = "Clerk"
    worker: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Settings of its workers' plugin."""
    aliases: Mapping[str, str] = field(default_factory=dict[str, str])
    price_factor: int | None = 1
    """``None``: the price book doesn't know the model any more."""

    def saying(self, **attributes: Any) -> "Parts":
        """With other attributes of the class."""
        return self.having(attributes={**self.attributes, **attributes})

    def having(self, **parts: Any) -> "Parts":
        """With other parts."""
        return Parts(**{**vars(self), **parts})

    def with_tool(self, made: AnyTool) -> "Parts":
        """With another tool of a name."""
        is_it = made.contract.name
        return self.having(tools=tuple(made if one.contract.name == is_it else one for one in self.tools))

    def without(self, name: str) -> "Parts":
        """Without a tool."""
        return self.having(tools=tuple(one for one in self.tools if one.contract.name != name))

    @property
    def schema(self) -> dict[str, Json]:
        """Of what a run answers."""
        return self.output_type.model_json_schema()


def base(outside: Outside) -> Parts:
    """The release that runs begin with."""
    made = (tools.look, tools.note, tools.transfer, tools.pay, tools.ship, tools.archive)
    return Parts(
        tools=tuple(one(outside) for one in made),
        attributes={
            "instructions": "You are the clerk of a shop. Do what the order asks, and say what you paid.",
            "rules": RULES,
            "budget": Budget(cost_usd=Decimal(5)),
            "release": Release(version="1", proven_models=("scripted:model",)),
            "model_options": ModelOptions(
                retry=RetryOptions(initial_interval=timedelta(milliseconds=50), max_attempts=6)
            ),
        },
    )


@dataclass(frozen=True)
class Deployed:
    """A release as workers serve it."""

    parts: Parts
    clerk: type
    long_clerk: type
    """Which continues as new as soon as it may."""


def deployed(parts: Parts) -> Deployed:
    """The agents of a release."""
    return Deployed(
        parts,
        _agent("Clerk", parts, {}),
        _agent("LongClerk", parts, {"max_history_bytes": 1_000}),
    )


def _agent(workflow_type: str, parts: Parts, defaults: Mapping[str, Any]) -> type:
    """A class as its source would have it."""
    taken, answered = parts.input_type, parts.output_type

    async def run(self: Any, task: Any) -> Any:
        return await self.run_agent(task)

    run.__annotations__ = {"task": AgentTask[taken], "return": AgentOutcome[answered]}  # type: ignore
    name = workflow_type.replace("Clerk", parts.class_name)
    run.__qualname__ = f"{name}.run"

    def body(namespace: dict[str, Any]) -> None:
        tools_ = parts.tools
        namespace.update(
            {"__module__": __name__, "__doc__": "A clerk.", "__qualname__": name, "tools": tools_}
        )
        namespace.update({**defaults, **parts.attributes})
        namespace["run"] = workflow.run(run)

    parents = (AgentWorkflow[taken, answered],)  # type: ignore[valid-type]
    made = types.new_class(name, parents, {}, body)
    named: Callable[[type], type] = workflow.defn(name=workflow_type)
    return named(made)
