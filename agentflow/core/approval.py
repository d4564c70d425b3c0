"""Approvals: one action, its exact arguments, the people it needs, and a deadline.

Two doors (the signals and the ``decide`` update) lead into ``judge``. What it refuses has no effect.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from agentflow.contracts.approval import ApprovalDecision, ApprovalOutcome, ApprovalRequest, Approver
from agentflow.contracts.identity import Consent, LatestWord, RefusedAttempt
from agentflow.core.consents import TAKEN_BACK, clash, outdated, uses_up, with_latest
from agentflow.core.named import Named, objection_to_named
from agentflow.core.person import has_one_of

Verdict = Literal["approve", "reject"]

MAX_REFUSED_SHOWN = 20
"""Of the decisions that did not count: whoever may signal could send any number."""


@dataclass(frozen=True)
class Refusal:
    """Why a decision does not count."""

    reason: str
    is_late: bool = False
    """Whether it would count if it had come earlier."""
    of: Approver | None = None
    """Who sent it, if that is known for sure: a signature that has run out is all that is wrong, or nobody
    looked further."""


def sender(found: Approver | Refusal | None) -> Approver | None:
    """Who sent something for sure, whether or not it may count."""
    return found.of if isinstance(found, Refusal) else found


@dataclass(frozen=True)
class PendingApproval:
    """A request, who has approved so far, and how it ended."""

    request: ApprovalRequest
    consents: tuple[Consent, ...] = ()
    latest: tuple[LatestWord, ...] = ()
    """What each person signed last on it, also where that did not count."""
    refused: tuple[RefusedAttempt, ...] = ()
    """The last decisions that did not count."""
    refusals: int = 0
    outcome: ApprovalOutcome | None = None
    taken_back: tuple[str, ...] = ()
    """Who had approved, and no longer counts."""

    @classmethod
    def of(cls, request: ApprovalRequest) -> "PendingApproval":
        """As another execution of the run showed it."""
        consents = request.consents or tuple(Consent(by=name) for name in request.approved_by)
        return cls(
            request,
            consents,
            request.latest,
            request.refused,
            request.refusals,
            taken_back=request.taken_back,
        )

    @property
    def people_needed(self) -> int:
        """How many more people must approve."""
        return 0 if self.outcome else self.request.quorum.people - len(self.consents)

    @property
    def approved_by(self) -> tuple[str, ...]:
        """Who has approved so far."""
        return tuple(consent.name for consent in self.consents)

    def shown(self) -> ApprovalRequest:
        """The request with what became of it so far, for people and for the run's next execution."""
        changes = {
            "approved_by": self.approved_by,
            "consents": self.consents,
            "taken_back": self.taken_back,
            "latest": self.latest,
            "refused": self.refused,
            "refusals": self.refusals,
        }
        return self.request.model_copy(update=changes)

    def with_refused(
        self, attempt: RefusedAttempt, approver: "Approver | Refusal | None" = None
    ) -> "PendingApproval":
        """Remember a decision that did not count: the other approvers should know of it.

        Args:
            attempt: The decision.
            approver: Who it was, if that is known: nothing that they signed earlier counts any more, unless
                it came after the deadline.
        """
        last, person = (*self.refused, attempt)[-MAX_REFUSED_SHOWN:], sender(approver)
        told = replace(self, refused=last, refusals=self.refusals + 1)
        if person is None or attempt.at >= self.request.deadline:
            return told
        told = replace(told, latest=with_latest(self.latest, person.consent, attempt.verdict))
        # What was decided stands, until it is open again.
        return told if self.outcome else told.keeping(lambda consent: True)

    def keeping(self, stands: Callable[[Consent], bool]) -> "PendingApproval":
        """Take back the consents that do not stand any more. An approval that rests on one is open again.

        Nobody has acted on it yet: whoever does takes it away from those that are pending.
        """
        if self.outcome is not None and self.outcome.status != "approved":
            return self
        kept = tuple(consent for consent in self.consents if stands(consent))
        if self.outcome is not None and kept == self.consents:
            return self
        # Who said otherwise while it was approved was refused, and is heard now that it is open again.
        agree = tuple(consent for consent in kept if not outdated(consent, "approve", self.latest))
        if agree == self.consents:
            return self
        return self.taking_back([consent for consent in self.consents if consent not in kept], agree)

    def taking_back(self, gone: Sequence[Consent], kept: tuple[Consent, ...] = ()) -> "PendingApproval":
        """Be open again, with these consents. Those that are gone can't be sent again, only signed anew."""
        latest = self.latest
        for consent in gone:
            latest = with_latest(latest, consent, TAKEN_BACK)
        names = [consent.name for consent in self.consents if consent not in kept]
        taken_back = with_names(self.taken_back, names)
        return replace(self, consents=kept, latest=latest, outcome=None, taken_back=taken_back)


def judge(
    pending: PendingApproval,
    verdict: Verdict,
    decision: ApprovalDecision,
    approver: Approver | Refusal | None,
    now: datetime,
    *,
    named: Named | None = None,
) -> PendingApproval | Refusal:
    """Count one person's decision, or refuse it.

    Args:
        pending: The approval that the decision names.
        verdict: What the person says.
        decision: The payload.
        approver: Who it is, by the verifier, or why the identity does not hold. Nothing at all is nobody.
        now: When the decision came.
        named: Who is named in what the run was started with.
    """
    if not isinstance(approver, Approver):
        return approver or Refusal(f"the identity of {decision.by} could not be verified")
    if refusal := _objection(pending, verdict, decision, approver, now):
        return refusal
    reason = decision.reason if approver.reason is None else approver.reason
    latest = with_latest(pending.latest, approver.consent, verdict)
    if verdict == "reject":
        rejected = ApprovalOutcome(status="rejected", by=(approver.consent.name,), reason=reason)
        return replace(pending, latest=latest, outcome=rejected)
    agreed = replace(pending, consents=(*pending.consents, approver.consent), latest=latest)
    if objection := objection_to_named(named, agreed.consents, pending.request.quorum.people):
        return Refusal(objection)
    if agreed.people_needed:
        return agreed
    done = ApprovalOutcome(status="approved", by=agreed.approved_by, reason=reason)
    return replace(agreed, outcome=done)


def expire(pending: PendingApproval) -> PendingApproval:
    """The deadline has passed: a refusal, unless it was decided before."""
    if pending.outcome:
        return pending
    until, people = pending.request.deadline.isoformat(), pending.request.quorum.people
    if pending.consents:
        reason = f"{len(pending.consents)} of {people} people approved ({', '.join(pending.approved_by)})"
    else:
        is_any = pending.refusals or pending.taken_back
        reason = "no decision counted" if is_any else "nobody decided"
    refused = f"; decisions that did not count: {pending.refusals}" if pending.refusals else ""
    reason = (
        f"{reason} before {until}{refused}{no_longer('approved', pending.taken_back, pending.approved_by)}"
    )
    return replace(pending, outcome=ApprovalOutcome(status="expired", by=pending.approved_by, reason=reason))


def with_names(names: Sequence[str], more: Iterable[str]) -> tuple[str, ...]:
    """Names of people whose word was taken back, each once; of very many, the last."""
    return tuple(dict.fromkeys([*names, *more]))[-MAX_REFUSED_SHOWN:]


def no_longer(did: str, names: Sequence[str], again: Sequence[str]) -> str:
    """Says, at the end of a reason, who had done something and no longer counts, and did not do it again."""
    left = ", ".join(name for name in names if name not in again)
    return f"; {did}, and no longer counts: {left}" if left else ""


def too_late(deadline: datetime, now: datetime) -> Refusal | None:
    """The refusal of what comes when a deadline has passed."""
    if now < deadline:
        return None
    return Refusal(f"the deadline {deadline.isoformat()} has passed", is_late=True)


def _objection(
    pending: PendingApproval,
    verdict: Verdict,
    decision: ApprovalDecision,
    approver: Approver,
    now: datetime,
) -> Refusal | None:
    if why := _why_not(pending, verdict, decision, approver, now):
        return Refusal(why)
    return too_late(pending.request.deadline, now)


def _why_not(
    pending: PendingApproval,
    verdict: Verdict,
    decision: ApprovalDecision,
    approver: Approver,
    now: datetime,
) -> str | None:
    if pending.outcome:
        return f"{pending.request.id} is {pending.outcome.status} already"
    if decision.arguments_hash not in (None, pending.request.arguments_hash):
        return "the decision is bound to other arguments"
    if since := outdated(approver.consent, verdict, pending.latest):
        return since
    # A person who asked for the action, or who lacks the role, may still stop it.
    return _may_not_approve(pending, approver, now) if verdict == "approve" else None


def _may_not_approve(pending: PendingApproval, approver: Approver, now: datetime) -> str | None:
    request, consent = pending.request, approver.consent
    if uses_up(consent, request.requested_by):
        return f"{request.requested_by} asked for this run and may not approve its actions"
    # Four eyes must not be two.
    if same := clash(consent, pending.consents):
        return same
    roles = request.roles_at(now)
    if roles and not has_one_of(approver.roles, roles):
        return f"{approver.subject} has none of the roles {', '.join(roles)}"
    return None
