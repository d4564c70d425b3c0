"""What a run did, step by step, as its history tells it."""

from datetime import datetime
from decimal import Decimal
from typing import Literal

from pydantic import Field

from agentflow.contracts.wire import Contract, Json, Usd, is_none, is_zero

StepKind = Literal[
    "started", "model", "tool", "approval", "signal", "update", "child", "continued", "ended", "other"
]
StepState = Literal["done", "failed", "open", "cancelled"]


class Step(Contract):
    """One line of a timeline."""

    at: datetime
    """When it began."""
    kind: StepKind
    name: str
    """A model, a tool, a signal."""
    state: StepState = "done"
    seconds: float | None = Field(default=None, exclude_if=is_none)
    """How long it took, waiting for a worker and retries included; ``None`` while it is open."""
    detail: str = ""
    """In words, without what was said: who, by which rule, how it ended."""
    attempts: int = 1
    input_tokens: int = Field(default=0, exclude_if=is_zero)
    output_tokens: int = Field(default=0, exclude_if=is_zero)
    cost_usd: Usd | None = Field(default=None, exclude_if=is_none)
    content: Json = Field(default=None, exclude_if=is_none)
    """What was said: arguments, output, answer. Only where it was asked for."""


class Timeline(Contract):
    """A run, from its first execution to where it stands."""

    workflow_id: str
    workflow_type: str
    executions: int
    is_open: bool
    cost_usd: Usd = Decimal(0)
    """All that it has settled, and what may be billed of calls that nobody heard the end of."""
    possibly_billed_usd: Usd = Field(default=Decimal(0), exclude_if=is_zero)
    """That last part of it."""
    steps: tuple[Step, ...] = ()
    children: "tuple[Timeline, ...]" = ()
    """Runs that it started."""
