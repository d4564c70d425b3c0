"""What a run starts with."""

from typing import Any, Generic, TypeVar

from pydantic import Field, FieldSerializationInfo, field_serializer

from agentflow.contracts.budget import Budget
from agentflow.contracts.wire import Contract, Json, is_none

InputT = TypeVar("InputT")


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
    carried: Json = Field(default=None, exclude_if=is_none)
    """A ``CarriedRun``: what a run that continues as new takes along, unread until its seal is checked.
    Nobody else gives it: a run that is started with it is denied."""
    seal: str | None = Field(default=None, max_length=1_000, exclude_if=is_none)
    """Of what is carried and of the rest of the task, by the execution before this one."""

    @field_serializer("budget")
    def _limits_asked_for(self, budget: Budget | None, info: FieldSerializationInfo) -> dict[str, Any] | None:
        # Sent in full, the defaults of the limits left out would arrive as if they had been asked for.
        return None if budget is None else budget.model_dump(mode=info.mode, exclude_unset=True)
