"""What a run waits for people to say: approvals and escalations.

Handlers only append and mutate, they never await; the run waits for what they changed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from temporalio import workflow

from agentflow.contracts.approval import (
    ApprovalDecision,
    ApprovalOutcome,
    ApprovalRequest,
    Approver,
    DecisionReceipt,
)
from agentflow.contracts.escalation import EffectInDoubt, Escalation, Resolution
from agentflow.contracts.identity import ApproverKey, RefusedAttempt
from agentflow.contracts.names import (
    APPROVE_SIGNAL,
    FREEZE_SIGNAL,
    REJECT_SIGNAL,
    RESOLVE_SIGNAL,
    REVOKE_SIGNAL,
    UNFREEZE_SIGNAL,
)
from agentflow.contracts.rules import DecisionRecord, Subject
from agentflow.contracts.wire import ApprovalId, Json, Sha256, sha256_of
from agentflow.core.answer import AnswerForm
from agentflow.core.approval import PendingApproval, Refusal, Verdict, expire, judge
from agentflow.core.approvers import TrustedApprovers
from agentflow.core.escalation import OpenEscalation, judge_resolution
from agentflow.core.named import Named
from agentflow.core.schema import SchemaCheck
from agentflow.core.signals import parse_decision, parse_resolution, parse_revocation
from agentflow.core.signed_approvers import SignedApprovers
from agentflow.ports.approvers import ApproverVerifier

Record = Callable[[DecisionRecord], None]
IdentityT = TypeVar("IdentityT", Approver, str)

_SIGNALS = (APPROVE_SIGNAL, REJECT_SIGNAL, RESOLVE_SIGNAL, REVOKE_SIGNAL, FREEZE_SIGNAL, UNFREEZE_SIGNAL)


@dataclass(frozen=True)
class Doubt:
    """A write that may have happened, and what a person's word on its output must fit."""

    effect: EffectInDoubt
    output_check: SchemaCheck


class People:
    """The approvals and the escalation of one run, and the doors through which people answer."""

    def __init__(self, verifier: ApproverVerifier | None, record: Record) -> None:
        """Let people answer.

        Args:
            verifier: The agent's own; ``None`` is what its worker is configured for.
            record: Adds to the decision log.
        """
        self._own_verifier = verifier
        self._record = record
        self._keys: tuple[ApproverKey, ...] | None = ()
        self._run: Sha256 = sha256_of("no run yet")
        self._approvals: dict[ApprovalId, PendingApproval] = {}
        self._open: OpenEscalation | None = None
        self._resolution: Resolution | None = None
        self.approvals: int = 0
        """How many approvals there have been."""
        self.escalations: int = 0
        """How many escalations there have been."""
        self.revoked: tuple[str, ...] = ()
        """Keys that are not to be believed any more."""
        self.named: Callable[[], Named | None] = lambda: None
        """Who is named in what the run was started with."""

    def identify(self, run: Sha256, keys: Sequence[ApproverKey] | None) -> None:
        """Say how people prove who they are, from here on.

        Args:
            run: Names the run in what they sign.
            keys: Those they sign with; ``None`` takes them at their word.
        """
        self._run, self._keys = run, None if keys is None else tuple(keys)

    @property
    def verifier(self) -> ApproverVerifier:
        """Who tells who people are."""
        if self._own_verifier is not None:
            return self._own_verifier
        return TrustedApprovers() if self._keys is None else SignedApprovers(self._keys, self.revoked)

    @property
    def pending(self) -> tuple[PendingApproval, ...]:
        """Approvals that nobody has decided yet, the oldest first."""
        return tuple(approval for approval in self._approvals.values() if approval.outcome is None)

    @property
    def escalation(self) -> Escalation | None:
        """The open escalation."""
        return self._open.escalation if self._open else None

    def next_approval_id(self) -> ApprovalId:
        """An id that is short enough to type, and unique within the run."""
        return ApprovalId(f"approval-{self.approvals + 1}")

    def take_up(self, pending: Sequence[ApprovalRequest], approvals: int, escalations: int) -> None:
        """Go on where the execution before this one stood."""
        self._approvals = {request.id: PendingApproval.of(request) for request in pending}
        self.approvals, self.escalations = approvals, escalations

    def request(self, approval_id: ApprovalId) -> ApprovalRequest:
        """The approval's request."""
        return self._approvals[approval_id].request

    def shown(self, approval_id: ApprovalId) -> ApprovalRequest:
        """The approval's request, with what became of it so far."""
        return self._approvals[approval_id].shown()

    def open_approval(self, request: ApprovalRequest) -> None:
        """Let people decide on an action."""
        now = workflow.now()
        told: dict[str, object] = {"run": self._run, "identity": self.verifier.method, "asked_at": now}
        if request.quorum.next_roles:
            told["next_roles_from"] = now + (request.deadline - now) / 2
        self._approvals[request.id] = PendingApproval(request.model_copy(update=told))
        self.approvals += 1

    def _is_over(self, approval_id: ApprovalId) -> bool:
        return self._approvals[approval_id].outcome is not None

    async def await_half_time(self, approval_id: ApprovalId, or_until: Callable[[], bool]) -> bool:
        """Wait until other roles may decide as well, if there are such. Answers whether it came to that.

        Args:
            approval_id: The approval's.
            or_until: Ends the wait once it is true.
        """
        request = self._approvals[approval_id].request
        later = request.next_roles_from
        if later is None or workflow.now() >= later:
            return False
        try:
            await workflow.wait_condition(
                lambda: self._is_over(approval_id) or or_until(),
                timeout=_until(later),
                timeout_summary=f"half the time of {approval_id}",
            )
        except TimeoutError:
            roles = " or ".join(request.quorum.next_roles)
            half = f"{approval_id}: half the time is over; the role {roles} may decide as well"
            self._note("approval", True, half, tool=request.tool)
            return True
        return False

    async def await_approval(
        self, approval_id: ApprovalId, or_until: Callable[[], bool]
    ) -> ApprovalOutcome | None:
        """Wait until enough people approved, one rejected, or the deadline passed.

        Args:
            approval_id: The approval's.
            or_until: Ends the wait without an outcome, as ``None``, once it is true.
        """
        request = self._approvals[approval_id].request
        try:
            await workflow.wait_condition(
                lambda: self._is_over(approval_id) or or_until(),
                timeout=_until(request.deadline),
                timeout_summary=f"deadline of {approval_id}",
            )
        except TimeoutError:
            self._approvals[approval_id] = expire(self._approvals[approval_id])
        outcome = self._approvals[approval_id].outcome
        if outcome is not None and outcome.status == "expired":
            self._note("approval", False, f"{approval_id} expired: {outcome.reason}", tool=request.tool)
        return outcome

    def open_escalation(
        self,
        reason: str,
        deadline: datetime,
        form: AnswerForm[Json] | None = None,
        doubt: Doubt | None = None,
    ) -> None:
        """Let a person take over: with a form, supply the answer; of a doubt, say what happened."""
        self.escalations += 1
        self._open = OpenEscalation(
            Escalation(
                id=f"escalation-{self.escalations}",
                reason=reason,
                deadline=deadline,
                answerable=form is not None,
                run=self._run,
                identity=self.verifier.method,
                effect=doubt.effect if doubt else None,
            ),
            form,
            doubt.output_check if doubt else None,
        )
        self._resolution = None

    async def await_resolution(self) -> Resolution | None:
        """Wait until a person resolves the open escalation; ``None`` when its deadline passed."""
        assert self._open is not None
        escalation = self._open.escalation
        try:
            await workflow.wait_condition(
                lambda: self._resolution is not None,
                timeout=_until(escalation.deadline),
                timeout_summary=f"deadline of {escalation.id}",
            )
        except TimeoutError:
            missed = f"{escalation.id}: nobody took over before {escalation.deadline.isoformat()}"
            self._note("resolution", False, missed)
        finally:
            self._open = None
        return self._resolution

    def on_signal(self, name: str, payloads: Sequence[bytes]) -> bool:
        """Take a signal; answer whether it had an effect. A refused one is recorded, and that is all."""
        match name:
            case "approve" | "reject":
                return self._on_decision(name, tuple(payloads))
            case "resolve":
                return self._on_resolution(tuple(payloads))
            case "revoke":
                return self._on_revocation(tuple(payloads))
            case _:
                known = ", ".join(_SIGNALS)
                self._note("signal", False, f"unknown signal {name[:80]!r}; known: {known}")
                return False

    def decide(self, decision: ApprovalDecision) -> DecisionReceipt | Refusal:
        """Take a decision from the update, whose verdict is in the payload."""
        if decision.verdict is None:
            return Refusal("verdict must be approve or reject")
        judged = self._judge(decision.verdict, decision)
        if isinstance(judged, Refusal):
            return judged
        status = judged.outcome.status if judged.outcome else "pending"
        assert status != "expired"
        return DecisionReceipt(
            approval_id=judged.request.id, status=status, people_needed=judged.people_needed
        )

    def _on_decision(self, verdict: Verdict, payloads: tuple[bytes, ...]) -> bool:
        decision = parse_decision(payloads)
        if isinstance(decision, Refusal):
            self._note("signal", False, f"{verdict}: {decision.reason}")
            return False
        if decision.verdict not in (None, verdict):
            self._note("signal", False, f"{verdict}: the payload says {decision.verdict}", by=decision.by)
            return False
        return not isinstance(self._judge(verdict, decision), Refusal)

    def _judge(self, verdict: Verdict, decision: ApprovalDecision) -> PendingApproval | Refusal:
        pending, now = self._approvals.get(decision.approval_id), workflow.now()
        subject: Subject = "approval" if verdict == "approve" else "rejection"
        if pending is None:
            unknown = Refusal(f"no approval {decision.approval_id}")
            self._note(subject, False, unknown.reason, by=decision.by)
            return unknown
        approver = self._verified(lambda: self.verifier.verify(decision, verdict, self._run, now))
        judged = judge(pending, verdict, decision, approver, now, named=self.named())
        if isinstance(judged, Refusal):
            self._note(subject, False, f"{pending.request.id}: {judged.reason}", by=decision.by)
            attempt = RefusedAttempt(at=now, by=decision.by, verdict=verdict, reason=judged.reason[:600])
            self._approvals[pending.request.id] = pending.with_refused(attempt)
            return judged
        assert isinstance(approver, Approver)  # judge refused it otherwise
        self._approvals[judged.request.id] = judged
        needed = f"; {judged.people_needed} more needed" if judged.people_needed else ""
        keys = f", key {' and '.join(approver.kids)}" if approver.kids else ""
        said = f"{judged.request.id} ({approver.method} identity{keys}){needed} {decision.reason}".strip()
        self._note(subject, True, said, tool=judged.request.tool, by=approver.consent.name)
        return judged

    def _verified(self, verify: Callable[[], IdentityT | Refusal | None]) -> IdentityT | Refusal:
        """What a verifier says. One of a user's own may raise or say nothing: then nobody is verified."""
        try:
            return verify() or Refusal("the identity could not be verified")
        except Exception as error:
            return Refusal(f"the identity could not be verified: {type(error).__name__}: {error}"[:600])

    def revoke(self, kid: str) -> bool:
        """Believe a key no more, nor what rests on it and is still open. Answers whether that is new."""
        if kid in self.revoked:
            return False
        self.revoked = (*self.revoked, kid)
        self.withdraw(kid)
        return True

    def withdraw(self, kid: str) -> None:
        """Take back the consents that rest on a key, of what is still open."""
        self._approvals = {key: pending.without_key(kid) for key, pending in self._approvals.items()}

    def _on_revocation(self, payloads: tuple[bytes, ...]) -> bool:
        parsed = parse_revocation(payloads)
        if isinstance(parsed, Refusal):
            self._note("signal", False, f"revoke: {parsed.reason}")
            return False
        # Whoever may signal may take a key's word away, never give it: no signature is asked for.
        is_new = self.revoke(parsed.kid)
        said = parsed.reason if is_new else "it was revoked before"
        self._note("revocation", is_new, f"key {parsed.kid}: {said}".rstrip(": "), by=parsed.by)
        return is_new

    def _on_resolution(self, payloads: tuple[bytes, ...]) -> bool:
        parsed = parse_resolution(payloads)
        if isinstance(parsed, Refusal):
            self._note("signal", False, f"resolve: {parsed.reason}")
            return False
        # A second resolution in the same workflow task would overwrite the first unseen.
        open_one = self._open if self._resolution is None else None
        judged = judge_resolution(open_one, parsed)
        by: str | Refusal = parsed.by
        if open_one is not None and not isinstance(judged, Refusal):
            by = self._verified(
                lambda: self.verifier.verify_resolution(
                    parsed, open_one.escalation, self._run, workflow.now()
                )
            )
        if refused := next((said for said in (judged, by) if isinstance(said, Refusal)), None):
            self._note("resolution", False, refused.reason, by=parsed.by)
            return False
        self._resolution = parsed
        self._note("resolution", True, f"{parsed.action}: {parsed.text}", by=parsed.by)
        return True

    def _note(
        self, subject: Subject, accepted: bool, detail: str, *, tool: str | None = None, by: str | None = None
    ) -> None:
        self._record(
            DecisionRecord(
                subject=subject,
                accepted=accepted,
                detail=detail[:2_000],
                at=workflow.now().isoformat(),
                tool=tool,
                by=by,
            )
        )


def _until(deadline: datetime) -> timedelta:
    return max(deadline - workflow.now(), timedelta(0))
