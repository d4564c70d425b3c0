"""The verifier of signed decisions: a person is who their key says, in the roles that the key may give."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from pydantic import ValidationError

from agentflow.contracts.approval import ApprovalDecision, ApprovalRequest, Approver
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
    SignatureTerms,
    UsedDelegation,
)
from agentflow.contracts.wire import Sha256
from agentflow.core.answer import describe_errors
from agentflow.core.approval import Refusal, Verdict
from agentflow.core.consents import is_revoked_delegation, key_hash, objections_to_key
from agentflow.core.idempotency import arguments_hash
from agentflow.core.jws import verified
from agentflow.core.person import beyond, same_name, same_person
from agentflow.core.strict_json import strict_json

LEEWAY = timedelta(seconds=60)
"""How far ahead of the run's clock a signer's may be. An ``exp`` has none."""

ClaimsT = TypeVar("ClaimsT", bound=Claims)
Pair = tuple[str, object, object]
"""A claim's name, what was signed, and what is the case."""


class SignedApprovers:
    """Believes tokens that are signed with one of the keys, and nothing that is said beside them."""

    method = "signed"

    def __init__(
        self,
        keys: Sequence[ApproverKey],
        revoked: Collection[str] = (),
        *,
        terms: SignatureTerms | None,
        revoked_delegations: Collection[str] = (),
    ) -> None:
        """Take the keys that a run is pinned to.

        Args:
            keys: Each with a ``kid`` of its own.
            revoked: Those that the run has heard are not to be believed any more.
            terms: How long a signature may count; ``None`` is for runs that are older than such terms.
            revoked_delegations: Those that the run has heard are not to be believed, by ``jti``.
        """
        self._keys = {key.kid: key for key in keys}
        self._revoked = frozenset(revoked)
        self._terms = terms
        self._revoked_delegations = frozenset(revoked_delegations)

    def verify(
        self,
        decision: ApprovalDecision,
        verdict: Verdict,
        request: ApprovalRequest,
        run: Sha256,
        now: datetime,
    ) -> Approver | Refusal:
        """The person who signed a decision, if they signed this one, of this action, and may now."""
        read = self._decision(decision, now)
        if isinstance(read, Refusal):
            return read
        key, claims = read
        action: list[Pair] = [
            ("run", claims.run, run),
            ("approval", claims.approval_id, request.id),
            ("arguments", claims.arguments_hash, request.arguments_hash),
            ("verdict", claims.verdict, verdict),
        ]
        # Runs that began before tools were signed pinned no terms.
        if self._terms is not None or claims.tool is not None:
            action.append(("tool", claims.tool, request.tool))
        return (
            _other(action)
            or _beside(decision, claims)
            or _in_time(self._person(key, claims, claims.roles, now), claims, now)
        )

    def signer(self, decision: ApprovalDecision, run: Sha256, now: datetime) -> Approver | Refusal:
        """The person who signed a decision in this run, whatever it is about. For records only."""
        read = self._decision(decision, now)
        if isinstance(read, Refusal):
            return read
        key, claims = read
        return (
            _other([("run", claims.run, run)])
            or _beside(decision, claims)
            or _in_time(self._person(key, claims, claims.roles, now), claims, now)
        )

    def verify_resolution(
        self, resolution: Resolution, escalation: Escalation, run: Sha256, now: datetime
    ) -> Approver | Refusal:
        """The person who signed a resolution, if they signed this one, of this escalation."""
        if resolution.token is None:
            return Refusal("answers to this run are signed; this one has no token")
        read = self._read(resolution.token, RESOLUTION_TYPE, ResolutionClaims, now)
        if isinstance(read, Refusal):
            return read
        key, claims = read
        effect = escalation.effect
        asked: list[Pair] = [
            ("run", claims.run, run),
            ("escalation", claims.escalation_id, escalation.id),
            ("answer", claims.resolution_hash, resolution.said_hash),
            ("person", claims.sub, resolution.by),
            ("roles", claims.roles, resolution.roles or claims.roles),
            ("write", claims.effect_key, effect.key if effect else None),
            ("tool", claims.tool, effect.tool if effect else None),
            (
                "arguments",
                claims.arguments_hash,
                arguments_hash(effect.tool, effect.arguments) if effect else None,
            ),
        ]
        return (
            _other(asked)
            or _other_question(claims, escalation)
            or _in_time(self._person(key, claims, claims.roles, now), claims, now)
        )

    def _decision(
        self, decision: ApprovalDecision, now: datetime
    ) -> tuple[ApproverKey, DecisionClaims] | Refusal:
        if decision.token is None:
            return Refusal("decisions on this run are signed; this one has no token")
        return self._read(decision.token, DECISION_TYPE, DecisionClaims, now)

    def _person(
        self,
        key: ApproverKey,
        claims: DecisionClaims | ResolutionClaims,
        roles: tuple[str, ...],
        now: datetime,
    ) -> Approver | Refusal:
        """Who signed, in roles that are theirs to claim."""
        reason = claims.reason if isinstance(claims, DecisionClaims) else None
        if claims.delegation is None:
            if beyond := sorted(set(roles) - set(key.roles)):
                return Refusal(f"the key {key.kid} may not give the role {', '.join(beyond)}")
            return Approver(
                subject=claims.sub,
                roles=roles,
                method=self.method,
                kids=(key.kid,),
                key_hashes=(key_hash(key),),
                signed_at=claims.iat,
                reason=reason,
            )
        read = self._read(claims.delegation, DELEGATION_TYPE, DelegationClaims, now)
        if isinstance(read, Refusal):
            return Refusal(f"the delegation does not hold: {read.reason}")
        giver, given = read
        if expired := _expired(given, now):
            return Refusal(f"the delegation does not hold: {expired}")
        if objection := next(self._objections_to_delegation(claims.sub, roles, giver, given), None):
            return Refusal(objection)
        return Approver(
            subject=claims.sub,
            roles=roles,
            method=self.method,
            kids=(key.kid, giver.kid),
            key_hashes=(key_hash(key), key_hash(giver)),
            on_behalf_of=given.sub,
            delegation=UsedDelegation(id=given.jti, until=given.exp),
            signed_at=claims.iat,
            reason=reason,
        )

    def _objections_to_delegation(
        self, to: str, roles: tuple[str, ...], giver: ApproverKey, given: DelegationClaims
    ) -> Iterator[str]:
        if is_revoked_delegation(given.jti, self._revoked_delegations):
            yield f"the delegation {given.jti} is revoked"
        if not same_name(given.to, to):
            yield f"the delegation is to {given.to}, not to {to}"
        if same_person(given.sub, given.to):
            yield "the delegation is to the person who gave it"
        if unheld := beyond(given.roles, giver.roles):
            yield f"the key {giver.kid} may not give the role {', '.join(unheld)}"
        if unheld := beyond(roles, given.roles):
            yield f"{given.sub} did not delegate the role {', '.join(unheld)}"

    def _read(
        self, token: str, typ: str, kind: type[ClaimsT], now: datetime
    ) -> tuple[ApproverKey, ClaimsT] | Refusal:
        """A token's claims, expired ones too, if the key may say so of that person now."""
        found = verified(token, typ, self._keys)
        if isinstance(found, Refusal):
            return found
        key, payload = found
        try:
            claims = kind.model_validate_json(payload)
            strict_json(payload)
        except ValidationError as error:
            return Refusal(f"what was signed is malformed: {describe_errors(error)}")
        except (ValueError, RecursionError) as error:
            return Refusal(f"what was signed is malformed: {error}"[:600])
        objection = next(self._objections(key, claims, now), None)
        return Refusal(objection) if objection else (key, claims)

    def _objections(self, key: ApproverKey, claims: Claims, now: datetime) -> Iterator[str]:
        """Why a key's word does not count, or not yet."""
        yield from objections_to_key(key, claims.sub, now, self._revoked)
        if claims.iat > (now + LEEWAY).timestamp():
            yield f"it was signed at {claims.iat}, which is in the future ({int(now.timestamp())} is now)"
        if self._terms is None:
            return
        is_delegation = isinstance(claims, DelegationClaims)
        limit = self._terms.delegation_lifetime if is_delegation else self._terms.decision_lifetime
        if claims.exp - claims.iat > limit.total_seconds():
            yield (
                f"the signature counts for {claims.exp - claims.iat} s, and this run takes "
                f"{limit.total_seconds():g} s at most"
            )


def _in_time(person: Approver | Refusal, claims: Claims, now: datetime) -> Approver | Refusal:
    """The person, unless all that is wrong is that their signature has expired."""
    if isinstance(person, Refusal):
        return person
    expired = _expired(claims, now)
    return Refusal(expired, is_late=True, of=person) if expired else person


def _expired(claims: Claims, now: datetime) -> str | None:
    if claims.exp > now.timestamp():
        return None
    return f"the signature expired at {claims.exp} ({int(now.timestamp())} is now)"


def _other(pairs: Sequence[Pair]) -> Refusal | None:
    """What was signed must be of what is the case: of each, or it is of something else."""
    for name, signed, actual in pairs:
        if signed != actual:
            return Refusal(f"what was signed is for another {name}: {signed!r}, not {actual!r}"[:600])
    return None


def _other_question(claims: ResolutionClaims, escalation: Escalation) -> Refusal | None:
    """What was signed must be of this question: a run that was reset may ask another one by the same id."""
    if claims.question_hash == escalation.question_hash:
        return None
    asked = f", asked at {escalation.asked_at.isoformat()}" if escalation.asked_at else ""
    return Refusal(
        f"what was signed is for another question than {escalation.id} is now{asked}: look at this one, and "
        "sign anew"
    )


def _beside(decision: ApprovalDecision, claims: DecisionClaims) -> Refusal | None:
    """What stands beside the token must be what is in it: people read the one, the run counts the other."""
    pairs = (
        ("approval", claims.approval_id, decision.approval_id),
        ("person", claims.sub, decision.by),
        ("arguments", claims.arguments_hash, decision.arguments_hash or claims.arguments_hash),
        ("verdict", claims.verdict, decision.verdict or claims.verdict),
        ("reason", claims.reason, decision.reason or claims.reason),
        ("roles", claims.roles, decision.roles or claims.roles),
    )
    for name, signed, stated in pairs:
        if signed != stated:
            return Refusal(f"what was signed says {name} {signed!r}, not {stated!r}"[:600])
    return None
