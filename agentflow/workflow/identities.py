"""Who sent what: by the library's verifiers at once, by an agent's own in a local activity.

The library's are pure. An agent's own may do anything, take for ever and answer nonsense: it runs outside,
and what it answered is in history.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from temporalio import workflow

from agentflow.contracts.approval import ApprovalDecision, ApprovalRequest, Approver
from agentflow.contracts.escalation import Escalation, Resolution
from agentflow.contracts.identity import ApproverKey, Revocation, SignatureTerms
from agentflow.contracts.verification import VerificationRequest
from agentflow.contracts.wire import Sha256, canonical_json, sha256_of
from agentflow.core.approval import Refusal, Verdict
from agentflow.core.approvers import TrustedApprovers
from agentflow.core.consents import EVERY, Trust, is_revoked_delegation
from agentflow.core.signed_approvers import SignedApprovers
from agentflow.workflow import people_calls
from agentflow.workflow.sealed_calls import CallNames


@dataclass(frozen=True)
class DecisionOn:
    """A decision, and the pending action that it names."""

    verdict: Verdict
    decision: ApprovalDecision
    request: ApprovalRequest

    @property
    def payload(self) -> ApprovalDecision:
        """As it was sent."""
        return self.decision

    @property
    def word(self) -> str:
        """What it says of the action."""
        return self.verdict

    @property
    def about(self) -> str:
        """The approval's id."""
        return self.request.id

    @property
    def asked_at(self) -> datetime | None:
        """When people were asked."""
        return self.request.asked_at

    @property
    def deadline(self) -> datetime:
        """Nothing that comes later counts."""
        return self.request.deadline


@dataclass(frozen=True)
class AnswerTo:
    """A resolution, and the open escalation."""

    resolution: Resolution
    escalation: Escalation

    @property
    def payload(self) -> Resolution:
        """As it was sent."""
        return self.resolution

    @property
    def word(self) -> str:
        """Names what it says of the escalation."""
        return self.resolution.said_hash

    @property
    def about(self) -> str:
        """The escalation's id."""
        return self.escalation.id

    @property
    def asked_at(self) -> datetime | None:
        """When people were asked."""
        return self.escalation.asked_at

    @property
    def deadline(self) -> datetime:
        """Nothing that comes later counts."""
        return self.escalation.deadline


Sent = DecisionOn | AnswerTo

MAX_REVOKED_BYTES = 32 * 1024
"""Of the names of revoked keys, and of those of revoked delegations: whoever may signal may revoke any
number, and all of them go along when the run continues as new."""
_BEFORE = "it was revoked before"


class Identities:
    """How one run tells who people are, and whom it believes no more."""

    def __init__(self, agent: str, own_method: str | None, calls: CallNames) -> None:
        """Believe nobody yet.

        Args:
            agent: Whose verifier is asked, if it has one.
            own_method: The ``method`` of the agent's own verifier; ``None`` is what its worker is configured
            for.
            calls: Names the questions that are asked about what people send.
        """
        self.calls: CallNames = calls
        self._agent = agent
        self.own_method: str | None = own_method
        """The ``method`` of the agent's own verifier, as the run is pinned to it."""
        self._keys: tuple[ApproverKey, ...] | None = ()
        self._terms: SignatureTerms | None = None
        self.run: Sha256 = sha256_of("no run yet")
        """Names the run in what people sign."""
        self.revoked: tuple[str, ...] = ()
        """Keys that are not to be believed any more."""
        self.revoked_delegations: tuple[str, ...] = ()
        """Delegations that are not, by ``jti``; ``EVERY`` for all of them."""
        self.kids_in_use: Callable[[], Collection[str]] = lambda: ()
        """Keys that something in the run rests on."""

    def identify(self, run: Sha256, keys: Sequence[ApproverKey] | None, terms: SignatureTerms | None) -> None:
        """Say how people prove who they are, from here on.

        Args:
            run: Names the run in what they sign.
            keys: Those they sign with; ``None`` takes them at their word.
            terms: How long a signature may count.
        """
        self.run, self._keys, self._terms = run, None if keys is None else tuple(keys), terms

    @property
    def are_outside(self) -> bool:
        """Whether an activity is asked who people are."""
        return self.own_method is not None

    @property
    def method(self) -> str:
        """How people prove who they are."""
        if self.own_method is not None:
            return self.own_method
        return TrustedApprovers.method if self._keys is None else SignedApprovers.method

    def trust(self) -> Trust:
        """Whose word counts now."""
        keys = self._keys if self.method == SignedApprovers.method else None
        return Trust(self.method, keys, self.revoked, self.revoked_delegations, workflow.now())

    def revoke(self, revocation: Revocation) -> str | None:
        """Believe a key or a delegation no more. Answers why that changes nothing, if it doesn't."""
        if revocation.kid is not None:
            return self._revoke_key(revocation.kid)
        assert revocation.delegation is not None  # the contract has one of both
        if is_revoked_delegation(revocation.delegation, self.revoked_delegations):
            return _BEFORE
        said = (*self.revoked_delegations, revocation.delegation)
        # It may be used later: where not all can be remembered, none counts.
        is_full = _size(said) > MAX_REVOKED_BYTES
        self.revoked_delegations = (*self.revoked_delegations, EVERY) if is_full else said
        return None

    def _revoke_key(self, kid: str) -> str | None:
        if kid in self.revoked:
            return _BEFORE
        is_known = kid in self.kids_in_use() or any(key.kid == kid for key in self._keys or ())
        if not is_known and _size((*self.revoked, kid)) > MAX_REVOKED_BYTES:
            return "so many are revoked that this run takes no more of those that it does not know"
        self.revoked = (*self.revoked, kid)
        return None

    def verified(self, sent: Sent, came_at: datetime) -> Approver | Refusal:
        """Who sent it, by the library's verifiers, as of when it came."""
        assert not self.are_outside
        verifier = self._verifier()
        match sent:
            case DecisionOn(verdict, decision, request):
                return verifier.verify(decision, verdict, request, self.run, came_at)
            case AnswerTo(resolution=resolution, escalation=escalation):
                return verifier.verify_resolution(resolution, escalation, self.run, came_at)

    async def verified_outside(self, sent: Sent, came_at: datetime) -> Approver | Refusal:
        """Who sent it, by the agent's own verifier, as of when it came. Whatever fails, it was nobody."""
        try:
            found = await people_calls.verify_approver(self.calls, self._question(sent, came_at))
        except Exception as error:
            # Whatever it is, it must not end the task that judges what others sent.
            return Refusal(f"the identity could not be verified: {type(error).__name__}: {error}"[:600])
        approver = found.approver
        if approver is None:
            return Refusal(found.refusal or "the identity could not be verified")
        if approver.method != self.own_method:
            return Refusal(f"the identity was established by {approver.method!r}, not {self.own_method!r}")
        return approver

    def _verifier(self) -> TrustedApprovers | SignedApprovers:
        if self._keys is None:
            return TrustedApprovers()
        delegations = self.revoked_delegations
        return SignedApprovers(self._keys, self.revoked, terms=self._terms, revoked_delegations=delegations)

    def _question(self, sent: Sent, came_at: datetime) -> VerificationRequest:
        common = VerificationRequest(agent=self._agent, run=self.run, now=came_at)
        match sent:
            case DecisionOn(verdict, decision, request):
                told = {"verdict": verdict, "decision": decision, "request": request}
            case AnswerTo(resolution=resolution, escalation=escalation):
                told = {"resolution": resolution, "escalation": escalation}
        return common.model_copy(update=told)


def _size(names: Sequence[str]) -> int:
    return len(canonical_json(names))
