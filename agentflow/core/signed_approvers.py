"""The verifier of signed decisions: a person is who their key says, in the roles that the key may give."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from pydantic import ValidationError

from agentflow.contracts.approval import ApprovalDecision, Approver
from agentflow.contracts.escalation import Escalation, Resolution
from agentflow.contracts.identity import (
    DECISION_TYPE,
    DELEGATION_TYPE,
    RESOLUTION_TYPE,
    ApproverKey,
    Claims,
    DecisionClaims,
    DelegationClaims,
    ResolutionClaims,
)
from agentflow.contracts.wire import Sha256, sha256_of
from agentflow.core.answer import describe_errors
from agentflow.core.approval import Refusal, Verdict
from agentflow.core.jws import verified
from agentflow.core.person import beyond, same_name, same_person, speaks_for

LEEWAY = timedelta(seconds=60)
"""How far ahead of the run's clock a signer's may be."""

ClaimsT = TypeVar("ClaimsT", bound=Claims)


class SignedApprovers:
    """Believes tokens that are signed with one of the keys, and nothing that is said beside them."""

    method = "signed"

    def __init__(self, keys: Sequence[ApproverKey], revoked: Collection[str] = ()) -> None:
        """Take the keys that a run is pinned to.

        Args:
            keys: Each with a ``kid`` of its own.
            revoked: Those that the run has heard are not to be believed any more.
        """
        self._keys = {key.kid: key for key in keys}
        self._revoked = frozenset(revoked)

    def verify(
        self, decision: ApprovalDecision, verdict: Verdict, run: Sha256, now: datetime
    ) -> Approver | Refusal:
        """The person who signed a decision, if they signed this one, for this run, and may now."""
        if decision.token is None:
            return Refusal("decisions on this run are signed; this one has no token")
        read = self._read(decision.token, DECISION_TYPE, DecisionClaims, now)
        if isinstance(read, Refusal):
            return read
        key, claims = read
        if refusal := _not_what_was_signed(decision, verdict, claims, run):
            return refusal
        if claims.delegation is not None:
            return self._delegate(claims, claims.delegation, key, now)
        if unheld := beyond(claims.roles, key.roles):
            return Refusal(f"the key {key.kid} may not give the role {', '.join(unheld)}")
        return Approver(subject=claims.sub, roles=claims.roles, method=self.method, kids=(key.kid,))

    def verify_resolution(
        self, resolution: Resolution, escalation: Escalation, run: Sha256, now: datetime
    ) -> str | Refusal:
        """The person who signed a resolution, if they signed this one, of this escalation."""
        if resolution.token is None:
            return Refusal("answers to this run are signed; this one has no token")
        read = self._read(resolution.token, RESOLUTION_TYPE, ResolutionClaims, now)
        if isinstance(read, Refusal):
            return read
        _, claims = read
        signed = {"run": claims.run, "escalation": claims.escalation_id, "answer": claims.resolution_hash}
        stated = {"run": run, "escalation": escalation.id, "answer": resolution.said_hash}
        if other := [name for name in signed if signed[name] != stated[name]]:
            return Refusal(f"what was signed is for another {other[0]}")
        if claims.sub != resolution.by:
            return Refusal(f"it was signed by {claims.sub}, not by {resolution.by}")
        return claims.sub

    def _delegate(
        self, claims: DecisionClaims, token: str, key: ApproverKey, now: datetime
    ) -> Approver | Refusal:
        """A person who decides in another's place, in the other's roles."""
        read = self._read(token, DELEGATION_TYPE, DelegationClaims, now)
        if isinstance(read, Refusal):
            return Refusal(f"the delegation does not hold: {read.reason}")
        giver, given = read
        if objection := next(_objections_to_delegation(claims, giver, given), None):
            return Refusal(objection)
        return Approver(
            subject=claims.sub,
            roles=claims.roles,
            method=self.method,
            kids=(key.kid, giver.kid),
            on_behalf_of=given.sub,
        )

    def _read(
        self, token: str, typ: str, kind: type[ClaimsT], now: datetime
    ) -> tuple[ApproverKey, ClaimsT] | Refusal:
        """A token's claims, if the key that signed them may say so of that person now."""
        found = verified(token, typ, self._keys)
        if isinstance(found, Refusal):
            return found
        key, payload = found
        try:
            claims = kind.model_validate_json(payload)
        except ValidationError as error:
            return Refusal(f"what was signed is malformed: {describe_errors(error)}")
        objection = next(self._objections(key, claims, now), None)
        return Refusal(objection) if objection else (key, claims)

    def _objections(self, key: ApproverKey, claims: Claims, now: datetime) -> Iterator[str]:
        """Why a key's word does not count, or not now."""
        # When it was signed is what the signer says. A key that leaked signs at any time it likes.
        if key.kid in self._revoked or key.is_revoked(now):
            yield f"the key {key.kid} is revoked"
        if key.not_before and now < key.not_before:
            yield f"the key {key.kid} is not valid before {key.not_before.isoformat()}"
        if key.expires and now >= key.expires:
            yield f"the key {key.kid} expired at {key.expires.isoformat()}"
        if not speaks_for(key.subjects, claims.sub):
            yield f"the key {key.kid} does not speak for {claims.sub}"
        if claims.iat > (now + LEEWAY).timestamp():
            yield f"it was signed at {claims.iat}, which is in the future ({int(now.timestamp())} is now)"
        if claims.exp <= now.timestamp():
            yield f"the signature expired at {claims.exp} ({int(now.timestamp())} is now)"


def _objections_to_delegation(
    claims: DecisionClaims, giver: ApproverKey, given: DelegationClaims
) -> Iterator[str]:
    if not same_name(given.to, claims.sub):
        yield f"the delegation is to {given.to}, not to {claims.sub}"
    if same_person(given.sub, given.to):
        yield "the delegation is to the person who gave it"
    if unheld := beyond(given.roles, giver.roles):
        yield f"the key {giver.kid} may not give the role {', '.join(unheld)}"
    if unheld := beyond(claims.roles, given.roles):
        yield f"{given.sub} did not delegate the role {', '.join(unheld)}"


def gone_keys(before: Sequence[ApproverKey], after: Sequence[ApproverKey], now: datetime) -> tuple[str, ...]:
    """The keys that counted and no longer do: they are missing, are other keys by now, or are revoked."""
    still = {(key.kid, sha256_of(key.jwk)) for key in after if not key.is_revoked(now)}
    return tuple(key.kid for key in before if (key.kid, sha256_of(key.jwk)) not in still)


def _not_what_was_signed(
    decision: ApprovalDecision, verdict: Verdict, claims: DecisionClaims, run: Sha256
) -> Refusal | None:
    """What stands beside the token must be what is in it: people read the one, the run counts the other."""
    if claims.run != run:
        return Refusal("what was signed is for another run")
    pairs = (
        ("approval", claims.approval_id, decision.approval_id),
        ("verdict", claims.verdict, verdict),
        ("person", claims.sub, decision.by),
        ("arguments", claims.arguments_hash, decision.arguments_hash or claims.arguments_hash),
        ("reason", claims.reason, decision.reason or claims.reason),
        ("roles", claims.roles, decision.roles or claims.roles),
    )
    for name, signed, stated in pairs:
        if signed != stated:
            return Refusal(f"what was signed says {name} {signed!r}, not {stated!r}"[:600])
    return None
