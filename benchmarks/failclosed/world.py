"""A payment tool, its rules, and who may say yes: what the faults are thrown at."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field

from agentflow import RuleContext, ToolContext, allow, ask, deny, sinks_from_trusted_input, tool
from agentflow.core.catalog import Catalog
from agentflow.core.rules import EVERY_TIER, Rule

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
DEADLINE = NOW + timedelta(hours=1)
TASK = "Pay 40.00 to ada@example.com, or 400.00 to bob@example.com if ada is away."
KNOWN = ("ada@example.com", "bob@example.com")
ALONE_UP_TO_USD = Decimal(100)
WITH_PEOPLE_UP_TO_USD = Decimal(1000)
REQUESTED_BY = "rita"
FINANCE = ("ann", "ben")


@dataclass
class Books:
    """What was paid."""

    paid: list[tuple[str, Any]] = field(default_factory=list[tuple[str, Any]])

    @tool(effect="write", recovery="key", scopes=("money:send",), sinks=("to",))
    async def pay(
        self,
        context: ToolContext,
        to: Annotated[str, Field(max_length=100)],
        amount: Annotated[str, Field(max_length=40)],
    ) -> str:
        """Pay an amount to somebody."""
        self.paid.append((to, amount))
        return "paid"


def is_small(context: RuleContext) -> bool:
    """The agent may pay it alone."""
    return context.amount("amount") <= ALONE_UP_TO_USD


def is_for_people(context: RuleContext) -> bool:
    """People may allow it."""
    return ALONE_UP_TO_USD < context.amount("amount") <= WITH_PEOPLE_UP_TO_USD


def is_too_much(context: RuleContext) -> bool:
    """Nobody may allow it."""
    return context.amount("amount") > WITH_PEOPLE_UP_TO_USD


RULES: tuple[Rule, ...] = (
    allow("small", reason="small payments", tools=("pay",), when=is_small, tiers=EVERY_TIER),
    ask(
        "large", reason="large ones", tools=("pay",), when=is_for_people, tiers=EVERY_TIER, roles=("finance",)
    ),
    deny("too_much", reason="too much", tools=("pay",), when=is_too_much),
    sinks_from_trusted_input(roles=("finance",)),
)

GRANTED = Catalog.of([Books.pay.contract], ["money:send"])


def needs(to: str, amount: str) -> str:
    """What a payment needs (``nothing``, ``people``, ``never``), said without the code that is tested."""
    try:
        value = Decimal(amount)
    except ArithmeticError:
        return "never"
    if not value.is_finite() or value < 0 or value > WITH_PEOPLE_UP_TO_USD:
        return "never"
    if to not in KNOWN or value > ALONE_UP_TO_USD:
        return "people"
    return "nothing"
