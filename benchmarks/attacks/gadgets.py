"""What others plug in, when it answers anything but an answer.

Workflow code imports it: conditions, engines and verifiers of one's own are in it, with their
agents.
"""

from datetime import timedelta
from typing import Any, cast

from temporalio import workflow

from agentflow import (
    AgentOutcome,
    AgentTask,
    ApprovalDecision,
    ModelOptions,
    RuleContext,
    RuleSet,
    ToolOptions,
    allow,
    ask,
    tool,
)
from agentflow.core.rules import EVERY_TIER
from benchmarks.attacks.wrong_answers import answered, made

with workflow.unsafe.imports_passed_through():
    from benchmarks.attacks.bank import Cashier
    from benchmarks.attacks.books import QUICK, Books

MARK = "~"
"""Between the point, the kind and the number that an account is made of."""


def kind_in(text: str) -> str:
    """The kind that an account, or a text with one, is of."""
    return text.split(MARK)[1]


class OddBooks(Books):
    """A bank that loses its word on the first wire, and can be asked for it."""

    @tool(
        effect="write",
        recovery="probe",
        sinks=(),
        options=ToolOptions(retry=QUICK, max_effect_delay=timedelta(0)),
    )
    async def wire(self, account: str, amount: str) -> str:
        """Wire an amount to an account."""
        self.paid[account] += 1
        if self.paid[account] == 1:
            raise RuntimeError("the connection was lost")
        return f"wired {amount} to {account}"

    @wire.probe
    async def find_wire(self, account: str, amount: str) -> Any:
        """Answer as the account says."""
        return await answered(kind_in(account))


def odd_condition(context: RuleContext) -> bool:
    """Answer as the account says."""
    return made(kind_in(str(context.arguments["account"])))


class Engine:
    """Another engine's policies, which answer as the account says."""

    engine = "odd 1"
    content = "odd"

    def judge(self, context: RuleContext) -> Any:
        """Answer."""
        return made(kind_in(str(context.arguments["account"])))


class Badge:
    """A verifier of one's own, which answers as the reason says."""

    method = "badge"

    def verify(self, decision: ApprovalDecision, *_: Any) -> Any:
        """Answer."""
        return made(decision.reason)

    def verify_resolution(self, *_: Any) -> Any:
        """Nobody."""
        return None


class Directory(Badge):
    """The same, asked elsewhere."""

    async def verify(self, decision: ApprovalDecision, *_: Any) -> Any:
        """Answer."""
        return await answered(decision.reason)

    async def verify_resolution(self, *_: Any) -> Any:
        """Nobody."""
        return None


@workflow.defn
class Plain(Cashier):
    """An agent that is not patient with its model."""

    model_options = ModelOptions(retry=QUICK)

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        """Serve a customer."""
        return await self.run_agent(task)


@workflow.defn
class Wiring(Plain):
    """An agent that wires."""

    tools = (OddBooks.wire,)
    rules = (allow("small", reason="small payments need nobody", tiers=EVERY_TIER),)

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        """Serve a customer."""
        return await self.run_agent(task)


@workflow.defn
class Conditioned(Cashier):
    """An agent with a condition that answers anything."""

    rules = (allow("odd", reason="", tiers=EVERY_TIER, when=odd_condition),)

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        """Serve a customer."""
        return await self.run_agent(task)


@workflow.defn
class Judged(Cashier):
    """An agent with an engine that answers anything."""

    rules = RuleSet("judged", "1", (allow("all", reason="", tiers=EVERY_TIER),), (Engine(),))

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        """Serve a customer."""
        return await self.run_agent(task)


@workflow.defn
class Badged(Cashier):
    """An agent with a verifier that answers anything."""

    rules = (ask("one", reason="", tools=("pay",), tiers=EVERY_TIER),)
    approver_verifier = cast(Any, Badge())

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        """Serve a customer."""
        return await self.run_agent(task)


@workflow.defn
class Asking(Badged):
    """The same with one that is asked elsewhere."""

    approver_verifier = cast(Any, Directory())

    @workflow.run
    async def run(self, task: AgentTask[str]) -> AgentOutcome[str]:
        """Serve a customer."""
        return await self.run_agent(task)
