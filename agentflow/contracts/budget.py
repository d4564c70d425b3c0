"""What a run may spend, and what it has spent."""

from datetime import timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from agentflow.contracts.wire import Contract, Duration, Usd, is_empty, is_none, is_zero

MOST_TOKENS = 1_000_000_000
"""Of one model call: a greater number is no count."""

Tokens = Annotated[int, Field(ge=0, le=MOST_TOKENS)]
"""A number of tokens of one model call."""


class Budget(Contract):
    """Hard limits of one run. ``None`` is no limit of that kind."""

    cost_usd: Usd | None = Decimal("1.00")
    input_tokens: int | None = Field(default=None, ge=0)
    output_tokens: int | None = Field(default=None, ge=0)
    model_calls: int | None = Field(default=40, ge=0)
    tool_calls: int | None = Field(default=100, ge=0)
    wall_time: Duration | None = timedelta(days=7)
    """From the run's start, waiting for people included."""


class Usage(Contract):
    """What was used, as the provider reports it. Reasoning and cached tokens are parts of output and input.

    The run decides whether that can be (``core.usage``).
    """

    input_tokens: Tokens = 0
    output_tokens: Tokens = 0
    cache_read_input_tokens: Tokens = Field(default=0, exclude_if=is_zero)
    cache_write_input_tokens: Tokens = Field(default=0, exclude_if=is_zero)
    reasoning_output_tokens: Tokens = Field(default=0, exclude_if=is_zero)
    total_tokens: Tokens | None = Field(default=None, exclude_if=is_none)
    """The sum as the provider gives it, where it does."""
    doubt: str = Field(default="", max_length=200, exclude_if=is_empty)
    """Why the figures are none, as whoever read them knows: the provider reported nothing, or no counts."""


class Spend(Contract):
    """An amount in every unit that a budget limits."""

    cost_usd: Usd = Decimal(0)
    input_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(default=0, ge=0)
    model_calls: int = Field(default=0, ge=0)
    tool_calls: int = Field(default=0, ge=0)

    def __add__(self, other: "Spend") -> "Spend":
        return Spend(
            cost_usd=self.cost_usd + other.cost_usd,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            model_calls=self.model_calls + other.model_calls,
            tool_calls=self.tool_calls + other.tool_calls,
        )


class UsageReport(Contract):
    """Answer of the ``usage`` query."""

    budget: Budget
    settled: Spend
    """Charged for certain, or for attempts that may have been billed."""
    reserved: Spend
    """Worst case of the calls under way."""
    possibly_billed_usd: Usd = Decimal(0)
    """Part of ``settled``: the worst case of failed attempts that the provider may have billed, and of
    answers whose usage report can't be."""
