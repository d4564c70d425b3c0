"""What a write rests on, for whoever asks once more whether it may be made."""

from pydantic import Field

from agentflow.contracts.wire import Contract, is_empty


class Grounds(Contract):
    """Whose write it is, and whose word it rests on."""

    agent: str
    tenant: str
    kids: tuple[str, ...] = Field(default=(), exclude_if=is_empty)
    """The approvers' keys."""
    delegations: tuple[str, ...] = Field(default=(), exclude_if=is_empty)
    """The delegations by which approvers decided in another's place."""
