"""The kill switch: a freeze denies all writes of an agent, a tenant or the whole fleet.

What is frozen is a stop in the effect ledger (``contracts.stops``), under the freeze's key.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from agentflow.contracts.person import Name
from agentflow.contracts.wire import Contract

FreezeScope = Literal["fleet", "agent", "tenant"]
"""``fleet`` is every run of the namespace."""


class Freeze(Contract):
    """The payload of the ``freeze`` and ``unfreeze`` signals."""

    scope: FreezeScope
    name: str = Field(default="", pattern=r"^[A-Za-z0-9._-]{0,100}$")
    """Of the agent or tenant."""
    by: Name
    """The person who says so."""
    reason: str = Field(default="", max_length=2_000)

    @model_validator(mode="after")
    def _check_name(self) -> Self:
        if (self.scope == "fleet") == bool(self.name):
            raise ValueError("give a name for an agent or a tenant, and none for the fleet")
        return self

    @property
    def key(self) -> str:
        """What is frozen: ``fleet``, ``agent:NAME`` or ``tenant:NAME``."""
        return f"{self.scope}:{self.name}" if self.name else self.scope


def keys_of(agent: str, tenant: str) -> tuple[str, ...]:
    """The keys of the freezes that concern a run."""
    return ("fleet", f"agent:{agent}", f"tenant:{tenant}")
