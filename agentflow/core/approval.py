"""Approvals: one action, its exact arguments, the people it needs, and a deadline.

Two doors (the signals and the ``decide`` update) lead into ``judge``. What it refuses has no effect.
"""

import unicodedata
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from agentflow.contracts.approval import ApprovalDecision, ApprovalOutcome, ApprovalRequest, Approver

Verdict = Literal["approve", "reject"]


@dataclass(frozen=True)
class Refusal:
    """Why a decision does not count."""

    reason: str


@dataclass(frozen=True)
class PendingApproval:
    """A request, who has approved so far, and how it ended."""

    request: ApprovalRequest
    approved_by: tuple[str, ...] = ()
    outcome: ApprovalOutcome | None = None

    @property
    def people_needed(self) -> int:
        """How many more people must approve."""
        return 0 if self.outcome else self.request.quorum.people - len(self.approved_by)


def judge(
    pending: PendingApproval | None,
    verdict: Verdict,
    decision: ApprovalDecision,
    approver: Approver | None,
    now: datetime,
) -> PendingApproval | Refusal:
    """Count one person's decision, or refuse it.

    Args:
        pending: The approval that the decision names, or ``None`` if there is none by that id.
        verdict: What the person says.
        decision: The payload.
        approver: Who it is, by the verifier; ``None`` when the identity does not hold.
        now: The workflow's clock.
    """
    if refusal := _why_not(pending, verdict, decision, approver, now):
        return Refusal(refusal)
    assert pending is not None  # _why_not refused it otherwise
    assert approver is not None
    if verdict == "reject":
        rejected = ApprovalOutcome(status="rejected", by=(approver.subject,), reason=decision.reason)
        return replace(pending, outcome=rejected)
    approved_by = (*pending.approved_by, approver.subject)
    if len(approved_by) < pending.request.quorum.people:
        return replace(pending, approved_by=approved_by)
    done = ApprovalOutcome(status="approved", by=approved_by, reason=decision.reason)
    return replace(pending, approved_by=approved_by, outcome=done)


def expire(pending: PendingApproval) -> PendingApproval:
    """The deadline has passed: a refusal, unless it was decided before."""
    if pending.outcome:
        return pending
    reason = f"nobody decided before {pending.request.deadline.isoformat()}"
    return replace(pending, outcome=ApprovalOutcome(status="expired", by=pending.approved_by, reason=reason))


def _why_not(
    pending: PendingApproval | None,
    verdict: Verdict,
    decision: ApprovalDecision,
    approver: Approver | None,
    now: datetime,
) -> str | None:
    if pending is None:
        return f"no approval {decision.approval_id}"
    if approver is None:
        return f"the identity of {decision.by} could not be verified"
    if pending.outcome:
        return f"{pending.request.id} is {pending.outcome.status} already"
    if now >= pending.request.deadline:
        return f"the deadline {pending.request.deadline.isoformat()} has passed"
    if decision.arguments_hash not in (None, pending.request.arguments_hash):
        return "the decision is bound to other arguments"
    # A person who asked for the action, or who lacks the role, may still stop it.
    return _may_not_approve(pending, approver) if verdict == "approve" else None


def _may_not_approve(pending: PendingApproval, approver: Approver) -> str | None:
    request = pending.request
    # Names that differ only in case, spaces or encoding are one person: four eyes must not be two.
    who = _person(approver.subject)
    if who == _person(request.requested_by):
        return f"{approver.subject} asked for this run and may not approve its actions"
    if who in {_person(name) for name in pending.approved_by}:
        return f"{approver.subject} has approved already; another person is needed"
    if request.quorum.roles and not set(request.quorum.roles) & set(approver.roles):
        return f"{approver.subject} has none of the roles {', '.join(request.quorum.roles)}"
    return None


def _person(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).split()).casefold()
