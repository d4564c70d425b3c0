"""What others plug in, when it answers anything but an answer.

Workflow code imports it: conditions, engines and verifiers of one's own are in it, with their
agents.
"""

import asyncio
from collections.abc import Callable, Iterable
from datetime import timedelta
from random import Random
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
from agentflow.contracts.approval import Approver
from agentflow.core.rules import Match
from benchmarks.attacks.bank import QUICK, Books, Cashier

EVERY_TIER = ("dev", "staging", "production")
MARK = "~"
"""Between the point, the kind and the number that an account is made of."""


class Odd:
    """Nothing that can be done with it goes well."""

    def __bool__(self) -> bool:
        raise RuntimeError("no truth")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no equality")

    def __hash__(self) -> int:
        raise RuntimeError("no hash")

    def __iter__(self) -> Any:
        raise RuntimeError("no parts")

    def __repr__(self) -> str:
        raise RuntimeError("no text")


class Text(str):
    """A text that may say something else the next time."""


class Number(int):
    """A number that may."""


class OtherMatch(Match):
    """A match that may."""


class OtherApprover(Approver):
    """An approver that may."""


async def _later() -> bool:
    return True


def _raising() -> Any:
    raise RuntimeError("broken")


PLAIN: dict[str, Callable[[], Any]] = {
    "true": lambda: True,
    "false": lambda: False,
    "one": lambda: 1,
    "zero": lambda: 0,
    "point": lambda: 0.5,
    "yes": lambda: "yes",
    "allow": lambda: "allow",
    "empty": lambda: "",
    "bytes": lambda: b"yes",
    "none": lambda: None,
    "coroutine": _later,
    "odd": Odd,
    "class": lambda: Odd,
    "text": lambda: Text("yes"),
    "number": lambda: Number(1),
    "function": lambda: _raising,
    "ellipsis": lambda: ...,
    "error": lambda: RuntimeError("returned"),
    "raises": _raising,
}
MATCHES: dict[str, Callable[[], Any]] = {
    "match": lambda: Match("r", "allow", ""),
    "othermatch": lambda: [OtherMatch("r", "allow", "")],
    "verdict": lambda: [Match("r", "Allow", "")],  # pyright: ignore[reportArgumentType]
    "noname": lambda: [Match(None, "allow", "")],  # pyright: ignore[reportArgumentType]
    "oddreason": lambda: [Match("r", "allow", Odd())],  # pyright: ignore[reportArgumentType]
    "badquorum": lambda: [Match("r", "allow", "", "finance")],  # pyright: ignore[reportArgumentType]
}
APPROVERS: dict[str, Callable[[], Any]] = {
    "otherapprover": lambda: OtherApprover(subject="ann", method="badge"),
    "method": lambda: Approver(subject="ann", method="signed"),
    "unchecked": lambda: Approver.model_construct(subject=7, roles=None, method="badge"),
    "approverclass": lambda: Approver,
    "approverdict": lambda: Approver(subject="ann", method="badge").model_dump(),
    "approvers": lambda: [Approver(subject="ann", method="badge")],
}
_CONTAINERS: dict[str, Callable[[list[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "dict": lambda parts: dict(enumerate(parts)),
    "pair": lambda parts: (parts, None),
    "generator": iter,
}


def kind_of(random: Random, also: Iterable[str] = (), without: frozenset[str] = frozenset()) -> str:
    """A kind of wrong answer, by name; one in three has others in it."""
    own = sorted({*also} - without)
    if own and random.random() < 0.3:
        return random.choice(own)
    if random.random() < 0.6:
        return random.choice(sorted(PLAIN.keys() - without))
    inner = random.choices(sorted(PLAIN.keys() - {"raises"}), k=random.randint(1, 2))
    return f"{random.choice(sorted(_CONTAINERS))}:{'+'.join(inner)}"


def made(kind: str) -> Any:
    """An answer of a kind."""
    outer, is_nested, inner = kind.partition(":")
    if is_nested:
        return _CONTAINERS[outer]([made(one) for one in inner.split("+") if one])
    return {**PLAIN, **MATCHES, **APPROVERS}[kind]()


async def answered(kind: str) -> Any:
    """The same, of a coroutine, which may hang."""
    if kind == "hang":
        await asyncio.sleep(3_600)
    return made(kind)


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
