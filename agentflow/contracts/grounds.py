"""What a write rests on, for whoever asks once more whether it may be made."""

from pydantic import Field

from agentflow.contracts.identity import Consent
from agentflow.contracts.rules import Quorum, Tier
from agentflow.contracts.wire import Contract, is_empty, is_none


class Grounds(Contract):
    """Whose write it is, in which environment, and whose word it rests on."""

    agent: str
    tenant: str
    requested_by: str
    """Who asked for the run, and may not approve its actions."""
    tier: Tier
    """That the run is pinned to."""
    identity: str
    """How its approvers prove who they are: ``trusted``, ``signed``, or the ``method`` of an agent's own
    verifier."""
    quorum: Quorum | None = Field(default=None, exclude_if=is_none)
    """Whose consent it needed; ``None`` where the rules allowed it by themselves."""
    consents: tuple[Consent, ...] = Field(default=(), exclude_if=is_empty)
    """Those that people gave."""

    @property
    def kids(self) -> tuple[str, ...]:
        """The approvers' keys that it rests on."""
        return tuple(kid for consent in self.consents for kid in consent.kids)

    @property
    def delegations(self) -> tuple[str, ...]:
        """The delegations by which approvers decided in another's place."""
        return tuple(consent.delegation.id for consent in self.consents if consent.delegation)
