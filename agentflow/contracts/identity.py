"""Who may decide, by the keys they sign with, and what they sign.

A signed decision is a JWS in compact form (RFC 7515). Its protected header has ``alg``, ``kid`` and ``typ``
and nothing else; its payload is one of the claims below, as JSON.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from agentflow.contracts.person import Name
from agentflow.contracts.wire import ApprovalId, Contract, Sha256, is_empty, is_none

SigningAlgorithm = Literal["EdDSA", "Ed25519", "ES256", "RS256"]
"""``EdDSA`` is for Ed25519 keys here; ``Ed25519`` is its newer name (RFC 9864)."""

DECISION_TYPE = "agentflow-decision+jws"
RESOLUTION_TYPE = "agentflow-resolution+jws"
DELEGATION_TYPE = "agentflow-delegation+jws"
"""The ``typ`` of a token: one that was signed for one purpose is none for another."""

MAX_TOKEN_CHARACTERS = 16_384
"""Of one token; a decision with a delegation in it is some 1,500."""

Seconds = Annotated[int, Field(strict=True, ge=0, le=253_402_300_799)]
"""Seconds since 1970 in UTC, as ``iat`` and ``exp`` have them (RFC 7519), to the end of the year 9999."""


class ApproverKey(Contract):
    """A public key, for whom it speaks and which roles it may give them."""

    kid: str = Field(min_length=1, max_length=200)
    alg: SigningAlgorithm
    jwk: dict[str, str]
    """Its public members (RFC 7517)."""
    subjects: tuple[Name, ...]
    """People by name; ``*@example.com`` is everyone there, ``*`` everyone: an identity provider's key."""
    roles: tuple[Name, ...] = ()
    not_before: AwareDatetime | None = Field(default=None, exclude_if=is_none)
    expires: AwareDatetime | None = Field(default=None, exclude_if=is_none)
    revoked_at: AwareDatetime | None = Field(default=None, exclude_if=is_none)
    """Decisions that arrive later don't count, whenever they say they were signed."""

    def is_revoked(self, now: datetime) -> bool:
        """Whether it isn't to be believed any more."""
        return self.revoked_at is not None and now >= self.revoked_at


class Claims(Contract):
    """What every token says."""

    sub: Name
    """The person."""
    iat: Seconds
    """When it was signed."""
    exp: Seconds
    """It doesn't count from then on."""


class DecisionClaims(Claims):
    """A person's decision on one action of one run."""

    run: Sha256
    """Names the run, as ``pending_approvals`` does; a later run of the same workflow id has another."""
    approval_id: ApprovalId
    arguments_hash: Sha256
    verdict: Literal["approve", "reject"]
    reason: str = Field(default="", max_length=2_000)
    roles: tuple[Name, ...] = ()
    delegation: str | None = Field(default=None, max_length=MAX_TOKEN_CHARACTERS, exclude_if=is_none)
    """Another person's token, on whose behalf this one decides."""


class ResolutionClaims(Claims):
    """A person's answer to one escalation of one run."""

    run: Sha256
    escalation_id: str
    resolution_hash: Sha256
    """Of what they say: ``contracts.escalation.Resolution.said_hash``."""


class DelegationClaims(Claims):
    """A person lets another decide in their place until ``exp``. It can't be passed on."""

    to: Name
    """The other person. They sign with a key of their own."""
    roles: tuple[Name, ...]
    """In which of their roles."""


class Revocation(Contract):
    """The payload of the ``revoke`` signal: a key isn't to be believed any more."""

    kid: str = Field(min_length=1, max_length=200)
    by: Name
    reason: str = Field(default="", max_length=2_000)


class Consent(Contract):
    """One person's yes, and whose key said so."""

    by: str
    on_behalf_of: str | None = Field(default=None, exclude_if=is_none)
    kids: tuple[str, ...] = Field(default=(), exclude_if=is_empty)
    """The keys that it rests on: the person's, and that of whom they act for."""

    @property
    def name(self) -> str:
        """The person as others read it."""
        return f"{self.by} for {self.on_behalf_of}" if self.on_behalf_of else self.by


class RefusedAttempt(Contract):
    """A decision on an approval that did not count."""

    at: AwareDatetime
    by: str
    """As stated; nobody has verified it."""
    verdict: Literal["approve", "reject"]
    reason: str
    """Why it did not count."""
