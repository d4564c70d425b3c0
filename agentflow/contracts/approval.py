"""An action that waits for people, and what they say."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from agentflow.contracts.identity import (
    MAX_ROLES,
    MAX_TOKEN_CHARACTERS,
    Consent,
    LatestWord,
    RefusedAttempt,
    Seconds,
    UsedDelegation,
)
from agentflow.contracts.person import Name
from agentflow.contracts.requester import RequesterProof
from agentflow.contracts.rules import Quorum, Tier
from agentflow.contracts.tools import Effect
from agentflow.contracts.wire import (
    ApprovalId,
    Contract,
    Json,
    Sha256,
    ToolCallId,
    Usd,
    is_empty,
    is_none,
    is_zero,
)


class UntrustedValue(Contract):
    """A value of an argument of consequence that nothing trusted has."""

    argument: str
    value: str = Field(default="", exclude_if=is_empty)
    """As text, cut off where it is long; nothing where it is not for everybody's eyes."""
    why: str
    """Why it is not trusted, for people."""


class ApprovalRequest(Contract):
    """One pending action, bound to its exact arguments."""

    id: ApprovalId
    tool: str
    tool_call_id: ToolCallId | None
    """The tool call that waits; ``None`` for an approval the workflow itself asked for."""
    arguments: dict[str, Json]
    arguments_hash: Sha256
    rule: str
    """The rule that asked."""
    reason: str
    quorum: Quorum
    requested_by: str
    """Who asked for the run; may not approve it."""
    requester_proof: RequesterProof | None = Field(default=None, exclude_if=is_none)
    """How that is verified; ``None`` is not at all."""
    deadline: datetime
    """No decision counts after this; passing it is a refusal."""
    asked_at: datetime | None = Field(default=None, exclude_if=is_none)
    """When people were asked. ``None`` in runs that began before it was told."""
    next_roles_from: datetime | None = Field(default=None, exclude_if=is_none)
    """When the quorum's ``next_roles`` begin to count."""
    approved_by: tuple[str, ...] = ()
    """Who has agreed so far."""
    consents: tuple[Consent, ...] = Field(default=(), exclude_if=is_empty)
    """The same with their roles and keys."""
    taken_back: tuple[str, ...] = Field(default=(), exclude_if=is_empty)
    """Who had agreed, and no longer counts."""
    latest: tuple[LatestWord, ...] = Field(default=(), exclude_if=is_empty)
    """What each person signed last on it."""
    refused: tuple[RefusedAttempt, ...] = Field(default=(), exclude_if=is_empty)
    """The last decisions on it that did not count."""
    refusals: int = Field(default=0, exclude_if=is_zero)
    """How many did not count."""
    run: Sha256 | None = Field(default=None, exclude_if=is_none)
    """Names the run in what is signed."""
    tier: Tier | None = Field(default=None, exclude_if=is_none)
    """Where the run's worker is: what is done in ``dev`` is not what it is in production."""
    identity: str = "trusted"
    """How people prove who they are: ``trusted`` takes their word, ``signed`` wants a token."""
    sources: dict[str, str] = Field(default_factory=dict[str, str])
    """For each argument, where its value was seen before: ``task``, ``tool:<name>``, or ``model``."""
    untrusted: tuple[UntrustedValue, ...] = Field(default=(), exclude_if=is_empty)
    """The values of consequence that nothing trusted has, the first of them, each with the reason."""
    sentence: str = Field(default="", exclude_if=is_empty)
    """The action in words, for people; what they are bound to are the arguments."""
    effect: Effect | None = Field(default=None, exclude_if=is_none)
    """The tool's."""
    sinks: tuple[str, ...] | None = Field(default=None, exclude_if=is_none)
    """The tool's arguments of consequence; ``None`` is all of them."""
    cost_usd: Usd | None = Field(default=None, exclude_if=is_none)
    """Price of the call itself."""
    spent_usd: Usd | None = Field(default=None, exclude_if=is_none)
    """What the run had spent when it asked."""
    on_refusal: str = Field(default="", exclude_if=is_empty)
    """What happens if people refuse."""

    def roles_at(self, now: datetime) -> tuple[str, ...]:
        """The roles that count at a time; empty means any."""
        is_later = self.next_roles_from is not None and now >= self.next_roles_from
        return (*self.quorum.roles, *self.quorum.next_roles) if is_later else self.quorum.roles


class ApprovalDecision(Contract):
    """What a person says of one pending action: the payload of ``approve``, ``reject`` and ``decide``."""

    approval_id: ApprovalId
    by: Name
    """The stated name of the person."""
    arguments_hash: Sha256 | None = None
    """If given, must be that of the pending action; required of signed decisions."""
    roles: tuple[Name, ...] = Field(default=(), max_length=MAX_ROLES)
    reason: str = Field(default="", max_length=2000)
    verdict: Literal["approve", "reject"] | None = None
    """Needed by the ``decide`` update; for the signals it is in their name."""
    token: str | None = Field(default=None, max_length=MAX_TOKEN_CHARACTERS, exclude_if=is_none)
    """The same, signed (``DecisionClaims``); without it, a run that wants signed decisions refuses."""


class Approver(Contract):
    """Who decided, after the ``ApproverVerifier`` looked."""

    subject: Name
    roles: tuple[Name, ...] = ()
    method: str
    """How the identity was established: ``trusted`` (stated, not verified), ``signed``, or that of a verifier
    of one's own."""
    kids: tuple[str, ...] = ()
    """The keys that it rests on."""
    key_hashes: tuple[Sha256, ...] = ()
    """Of the same keys."""
    on_behalf_of: Name | None = None
    """Whom they stand in for."""
    delegation: UsedDelegation | None = None
    """By which they do."""
    signed_at: Seconds | None = None
    """When they signed it. Of one person's words the one that was signed later stands; ``None`` leaves it to
    the order in which they come."""
    reason: str | None = None
    """Why, as it was signed; ``None`` leaves it to what was stated."""

    @property
    def consent(self) -> Consent:
        """Their yes."""
        return Consent(
            by=self.subject,
            on_behalf_of=self.on_behalf_of,
            kids=self.kids,
            key_hashes=self.key_hashes,
            roles=self.roles,
            delegation=self.delegation,
            signed_at=self.signed_at,
        )


class ApprovalOutcome(Contract):
    """How an approval ended."""

    status: Literal["approved", "rejected", "expired"]
    by: tuple[str, ...] = ()
    reason: str = ""


class DecisionReceipt(Contract):
    """The answer of the ``decide`` update: what the decision did."""

    approval_id: ApprovalId
    status: Literal["pending", "approved", "rejected"]
    people_needed: int
    """How many more people must approve."""
