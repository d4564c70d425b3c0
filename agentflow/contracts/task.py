"""What a run starts with, and what it ends with."""

from decimal import Decimal
from typing import Any, Generic, Literal, TypeVar

from pydantic import Field, FieldSerializationInfo, field_serializer

from agentflow.contracts.budget import Budget, Spend
from agentflow.contracts.wire import Contract, Json, Sha256, ToolCallId, Usd

InputT = TypeVar("InputT")
OutputT = TypeVar("OutputT")

OutcomeStatus = Literal["completed", "escalated", "denied", "budget_exhausted", "timed_out", "cancelled"]


class AgentTask(Contract, Generic[InputT]):
    """What a run starts with. Plain JSON: any Temporal client, or the Temporal CLI, can send it."""

    input: InputT
    requested_by: str = Field(min_length=1, max_length=200)
    """Who asked for the run; may not approve its actions."""
    tenant: str = Field(default="default", pattern=r"^[A-Za-z0-9._-]{1,100}$")
    """For isolation and reports. A name of yours, no personal data: it is a search attribute."""
    customer_tier: str = Field(default="standard", max_length=100)
    """The customer's own tier (free, standard, enterprise …); rules may read it."""
    budget: Budget | None = None
    """May only be smaller than the agent's own, limit by limit. A limit left out is the agent's."""

    @field_serializer("budget")
    def _limits_asked_for(self, budget: Budget | None, info: FieldSerializationInfo) -> dict[str, Any] | None:
        # Sent in full, the defaults of the limits left out would arrive as if they had been asked for.
        return None if budget is None else budget.model_dump(mode=info.mode, exclude_unset=True)


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
    approved_by: tuple[str, ...] = ()
    error: str | None = None
    """``None`` when the call was carried out."""
    effect: Literal["done", "failed", "unknown"] | None = None
    """Of a write that was allowed: whether it happened; ``unknown`` when nobody could tell. ``None`` for
    reads and for what was never begun."""


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
    release: str = ""
    transcript_head: Sha256 | None = None
    """Hash of the whole conversation; see ``core.transcript``."""
