"""What a run ends with."""

from decimal import Decimal
from typing import Generic, Literal, TypeVar

from pydantic import Field

from agentflow.contracts.budget import Spend
from agentflow.contracts.wire import Contract, Json, Sha256, ToolCallId, Usd, is_empty, is_none, is_zero

OutputT = TypeVar("OutputT")

OutcomeStatus = Literal["completed", "escalated", "denied", "budget_exhausted", "timed_out", "cancelled"]


class Evidence(Contract):
    """A place in a recorded tool output that a reason rests on."""

    tool: str
    tool_call_id: ToolCallId
    pointer: str = ""
    """JSON Pointer (RFC 6901) into the tool's output; empty is the whole."""
    value: Json = None
    """What was there."""


class ToolCallSummary(Contract):
    """One tool call of the run, in the outcome: what was done, or why not."""

    tool_call_id: ToolCallId
    tool: str
    arguments: dict[str, Json]
    rule: str | None
    approved_by: tuple[str, ...] = Field(default=(), exclude_if=is_empty)
    error: str | None = Field(default=None, exclude_if=is_none)
    """``None`` when the call was carried out."""
    effect: Literal["done", "failed", "unknown", "counted"] | None = Field(default=None, exclude_if=is_none)
    """Of a write that was allowed: whether it happened; ``unknown`` when nobody could tell; ``counted`` when
    an earlier run of the workflow id did it, and this one did not. ``None`` for reads and for what was never
    begun."""
    counted: str | None = Field(default=None, exclude_if=is_none)
    """Which earlier run did it, and when, and on whose word it counts."""


class AgentOutcome(Contract, Generic[OutputT]):
    """What a run ends with. A run that ends otherwise has a bug, and fails."""

    status: OutcomeStatus
    output: OutputT | None = None
    reason: str = ""
    """Why it ended as it did, for a person."""
    usage: Spend = Spend()
    cost_usd: Usd = Decimal(0)
    evidence: tuple[Evidence, ...] = ()
    tool_calls: tuple[ToolCallSummary, ...] = ()
    tool_calls_omitted: int = Field(default=0, exclude_if=is_zero)
    """How many are left out, since with them the outcome would be longer than a payload may be: the reads, or
    all. History has each of them."""
    release: str = ""
    transcript_head: Sha256 | None = None
    """Hash of the whole conversation; see ``core.transcript``."""
