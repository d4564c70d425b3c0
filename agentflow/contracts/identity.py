"""Who may decide, by the keys they sign with, and what they sign.

A signed decision is a JWS in compact form (RFC 7515). Its protected header has ``alg``, ``kid`` and ``typ``
and nothing else; its payload is one of the claims below, as JSON, each claim once and of exactly its type.
"""

from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AwareDatetime, ConfigDict, Field, model_validator

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

MAX_ROLES = 20
"""In which one person speaks at once: what they say is shown to others, and goes along with the run."""

Seconds = Annotated[int, Field(strict=True, ge=0, le=253_402_300_799)]
"""Seconds since 1970 in UTC, as ``iat`` and ``exp`` have them (RFC 7519), to the end of the year 9999."""


Lifetime = Annotated[timedelta, Field(gt=timedelta(0), le=timedelta(days=366))]


class SignatureTerms(Contract):
    """How long what people sign may count, from ``iat`` to ``exp``. A run is pinned to them."""

    decision_lifetime: Lifetime = timedelta(minutes=15)
    """Of a decision, and of an answer to an escalation."""
    delegation_lifetime: Lifetime = timedelta(days=7)


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
    """What every token says. A claim without a default must be there, and be of exactly its type."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", strict=True)

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
    tool: str | None = None
    """The action's. ``None`` counts only in runs that are pinned to no ``SignatureTerms``, which are
    older."""
    arguments_hash: Sha256
    verdict: Literal["approve", "reject"]
    reason: str = Field(max_length=2_000)
    roles: tuple[Name, ...]
    delegation: str | None = Field(default=None, max_length=MAX_TOKEN_CHARACTERS, exclude_if=is_none)
    """Another person's token, on whose behalf this one decides."""


class ResolutionClaims(Claims):
    """A person's answer to one escalation of one run."""

    run: Sha256
    escalation_id: str
    question_hash: Sha256
    """Of what was asked, and when: ``contracts.escalation.Escalation.question_hash``."""
    effect_key: Sha256 | None
    """Of the write in doubt; ``None`` if none is."""
    tool: str | None
    """The write's."""
    arguments_hash: Sha256 | None
    """The write's."""
    resolution_hash: Sha256
    """Of what they say: ``contracts.escalation.Resolution.said_hash``."""
    roles: tuple[str, ...]
    delegation: str | None = Field(default=None, max_length=MAX_TOKEN_CHARACTERS, exclude_if=is_none)
    """Another person's token, on whose behalf this one answers."""


class DelegationClaims(Claims):
    """A person lets another decide in their place until ``exp``. It can't be passed on."""

    jti: str = Field(min_length=1, max_length=200)
    """Names the delegation: by it, it is revoked alone."""
    to: Name
    """The other person. They sign with a key of their own."""
    roles: tuple[Name, ...]
    """In which of their roles."""


class Revocation(Contract):
    """The payload of the ``revoke`` signal: a key, or a delegation, isn't to be believed any more."""

    kid: str | None = Field(default=None, min_length=1, max_length=200, exclude_if=is_none)
    """The key."""
    delegation: str | None = Field(default=None, min_length=1, max_length=200, exclude_if=is_none)
    """The delegation, by its ``jti``: the keys of both people go on to count."""
    by: Name
    reason: str = Field(default="", max_length=2_000)

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.kid is None) == (self.delegation is None):
            raise ValueError("give either kid or delegation")
        return self


class UsedDelegation(Contract):
    """The delegation that somebody decides by."""

    id: str
    """Its ``jti``."""
    until: Seconds
    """Its ``exp``."""


class Consent(Contract):
    """One person's yes, and all that is needed to judge later whether it still counts."""

    by: str
    on_behalf_of: str | None = Field(default=None, exclude_if=is_none)
    kids: tuple[str, ...] = Field(default=(), exclude_if=is_empty)
    """The keys that it rests on: the person's, and that of whom they act for."""
    key_hashes: tuple[Sha256, ...] = Field(default=(), exclude_if=is_empty)
    """Of the same keys: another key may have a ``kid`` later. Empty in runs that began before it was kept."""
    roles: tuple[str, ...] = Field(default=(), exclude_if=is_empty)
    """In which they said it."""
    delegation: UsedDelegation | None = Field(default=None, exclude_if=is_none)
    signed_at: Seconds | None = Field(default=None, exclude_if=is_none)
    """The ``iat`` of what they signed; ``None`` where nobody signs."""

    @property
    def name(self) -> str:
        """The person as others read it."""
        return f"{self.by} for {self.on_behalf_of}" if self.on_behalf_of else self.by


class LatestWord(Contract):
    """What one person signed last on one question, also where it did not count: nothing earlier does."""

    by: str
    """The person, in whosesoever place they said it."""
    at: Seconds
    """The ``iat``."""
    word: str
    """``approve``, ``reject``, or an answer's ``word_hash``; empty for a word that was taken back."""


class RefusedAttempt(Contract):
    """A decision on an approval, or an answer to an escalation, that did not count."""

    at: AwareDatetime
    by: str
    """As stated; nobody has verified it."""
    verdict: str
    """``approve`` or ``reject``, or the answer's action."""
    reason: str
    """Why it did not count."""
