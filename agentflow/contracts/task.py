"""What a run starts with."""

from collections.abc import Mapping
from typing import Any, Generic, TypeVar, cast

from pydantic import Field, FieldSerializationInfo, PrivateAttr, field_serializer
from pydantic_core import from_json, to_json

from agentflow.contracts.budget import Budget
from agentflow.contracts.identity import MAX_TOKEN_CHARACTERS
from agentflow.contracts.person import fault_of
from agentflow.contracts.wire import Contract, Json, is_none

InputT = TypeVar("InputT")

_TENANT = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
_MAX_TENANT = 100


class AgentTask(Contract, Generic[InputT]):
    """What a run starts with. Plain JSON: any Temporal client, or the Temporal CLI, can send it."""

    input: InputT
    requested_by: str
    """Who asked for the run; may not approve its actions. ``name_fault`` says what may be in it."""
    tenant: str = "default"
    """For isolation and reports: up to 100 letters, digits, dots, hyphens and underscores. A name of yours,
    no personal data: it is a search attribute."""
    customer_tier: str = Field(default="standard", max_length=100)
    """The customer's own tier (free, standard, enterprise …); rules may read it."""
    budget: Budget | None = None
    """May only be smaller than the agent's own, limit by limit. A limit left out is the agent's."""
    requester_token: str | None = Field(default=None, max_length=MAX_TOKEN_CHARACTERS, exclude_if=is_none)
    """Proves who asked, where the worker wants it: ``contracts.requester.StartClaims``, signed."""
    carried: Json = Field(default=None, exclude_if=is_none)
    """A ``CarriedRun``: what a run that continues as new takes along, unread until its seal is checked.
    Nobody else gives it: a run that is started with it is denied."""
    seal: str | None = Field(default=None, max_length=1_000, exclude_if=is_none)
    """Of what is carried and of the rest of the task, by the execution before this one."""

    _sent: bytes | None = PrivateAttr(default=None)
    _misfit: str | None = PrivateAttr(default=None)

    @field_serializer("budget")
    def _limits_asked_for(self, budget: Budget | None, info: FieldSerializationInfo) -> dict[str, Any] | None:
        # Sent in full, the defaults of the limits left out would arrive as if they had been asked for.
        return None if budget is None else budget.model_dump(mode=info.mode, exclude_unset=True)

    def sent_as(self, text: bytes) -> None:
        """Keep the JSON that this was read from: the type may leave out or fill in what was not signed."""
        self._sent = text

    @property
    def misfit(self) -> str | None:
        """Why its input does not fit the agent's input type, if it doesn't: then it is as it was sent."""
        return self._misfit

    def does_not_fit(self, problem: str) -> None:
        """Keep why the input does not fit. A run that began with another type goes on all the same."""
        self._misfit = problem

    @property
    def given(self) -> Mapping[str, Json]:
        """The task as JSON, as it was sent, or would be."""
        return cast(Mapping[str, Json], from_json(to_json(self) if self._sent is None else self._sent))

    @property
    def name_fault(self) -> str | None:
        """What is wrong with its names, as a sentence. A run is denied for it; clients don't send it."""
        if fault := fault_of(self.requested_by):
            return f"requested_by {fault}"
        if not self.tenant or len(self.tenant) > _MAX_TENANT or not _TENANT.issuperset(self.tenant):
            return (
                f"tenant is {self.tenant[:40]!a}; it has 1 to {_MAX_TENANT} letters (a-z, A-Z), digits, "
                "dots, hyphens and underscores"
            )
        return None
