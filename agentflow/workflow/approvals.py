"""The approvals of one run: opened, judged, waited for, and looked at again before anything rests on them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from temporalio import workflow

from agentflow.contracts.approval import ApprovalOutcome, ApprovalRequest, Approver
from agentflow.contracts.identity import Consent, RefusedAttempt
from agentflow.contracts.rules import Subject
from agentflow.contracts.wire import ApprovalId
from agentflow.core.approval import PendingApproval, Refusal, Verdict, expire, judge
from agentflow.core.consents import objections_to, stands_for
from agentflow.core.named import Named
from agentflow.core.record import MAX_NOISE
from agentflow.workflow.identities import DecisionOn, Identities
from agentflow.workflow.people_log import PeopleLog, how_known


class Approvals:
    """What a run asks people to agree to."""

    def __init__(
        self, identities: Identities, log: PeopleLog, is_heard_of: Callable[[str, datetime], bool]
    ) -> None:
        """Ask nobody yet.

        Args:
            identities: Tells who people are.
            log: Of what counted and what did not.
            is_heard_of: Whether something waits to be judged that may have come in time for an approval, by
                its id and its deadline.
        """
        self._identities = identities
        self._log = log
        self._is_heard_of = is_heard_of
        self._approvals: dict[ApprovalId, PendingApproval] = {}
        self._acted_on: frozenset[ApprovalId] = frozenset()
        """Those whose outcome the run has taken: nothing takes that back any more."""
        self.count: int = 0
        """How many there have been."""
        self.named_in_start: Callable[[], Named | None] = lambda: None
        """Who is named in what the run was started with."""

    @property
    def pending(self) -> tuple[PendingApproval, ...]:
        """Approvals that nobody has decided yet, the oldest first."""
        return tuple(approval for approval in self._approvals.values() if approval.outcome is None)

    def next_id(self) -> ApprovalId:
        """An id that is short enough to type, and unique within the run."""
        return ApprovalId(f"approval-{self.count + 1}")

    def take_up(self, pending: Sequence[ApprovalRequest], count: int) -> None:
        """Go on where the execution before this one stood."""
        self._approvals = {request.id: PendingApproval.of(request) for request in pending}
        self.count = count

    def named(self, approval_id: ApprovalId) -> PendingApproval | None:
        """The approval of this id, if there is or was one in this execution."""
        return self._approvals.get(approval_id)

    def request(self, approval_id: ApprovalId) -> ApprovalRequest:
        """The approval's request."""
        return self._approvals[approval_id].request

    def shown(self, approval_id: ApprovalId) -> ApprovalRequest:
        """The approval's request, with what became of it so far."""
        return self._approvals[approval_id].shown()

    def consents(self, approval_id: ApprovalId) -> tuple[Consent, ...]:
        """What an approval rests on."""
        return self._approvals[approval_id].consents

    @property
    def all_consents(self) -> list[Consent]:
        """All that approvals of this execution rest on."""
        return [consent for approval in self._approvals.values() for consent in approval.consents]

    def open(self, request: ApprovalRequest) -> None:
        """Let people decide on an action."""
        now, who = workflow.now(), self._identities
        told: dict[str, object] = {"run": who.run, "identity": who.method, "asked_at": now}
        if request.quorum.next_roles:
            told["next_roles_from"] = now + (request.deadline - now) / 2
        self._approvals[request.id] = PendingApproval(request.model_copy(update=told))
        self.count += 1

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
                timeout=until(later),
                timeout_summary=f"half the time of {approval_id}",
            )
        except TimeoutError:
            roles = " or ".join(request.quorum.next_roles)
            half = f"{approval_id}: half the time is over; the role {roles} may decide as well"
            self._log.note("approval", True, half, tool=request.tool)
            return True
        return False

    async def outcome(self, approval_id: ApprovalId, or_until: Callable[[], bool]) -> ApprovalOutcome | None:
        """Wait until enough people approved, one rejected, or the deadline passed.

        An approval counts if it still does when the run acts on it, which is when this answers. Otherwise
        people are asked again.

        Args:
            approval_id: The approval's.
            or_until: Ends the wait without an outcome, as ``None``, once it is true.
        """
        request = self._approvals[approval_id].request
        while True:
            try:
                await workflow.wait_condition(
                    lambda: self._is_over(approval_id) or or_until(),
                    timeout=until(request.deadline),
                    timeout_summary=f"deadline of {approval_id}",
                )
            except TimeoutError:
                # What came in time counts, though this run hears it only now.
                if self._is_heard_of(approval_id, request.deadline):
                    await workflow.wait_condition(
                        lambda: (
                            self._is_over(approval_id) or not self._is_heard_of(approval_id, request.deadline)
                        )
                    )
                self._approvals[approval_id] = expire(self._approvals[approval_id])
            outcome = self._approvals[approval_id].outcome
            if outcome is None or outcome.status != "approved" or self._stands(approval_id):
                break
        if outcome is not None:
            self._acted_on |= {approval_id}
            if outcome.status == "expired":
                expired = f"{approval_id} expired: {outcome.reason}"
                self._log.note("approval", False, expired, tool=request.tool)
        return outcome

    def forget_refused(self) -> None:
        """Keep of the decisions that did not count how many there were."""
        for key, pending in self._approvals.items():
            self._approvals[key] = replace(pending, refused=())

    def weigh(
        self, sent: DecisionOn, approver: Approver | Refusal, came_at: datetime
    ) -> PendingApproval | Refusal:
        """What a decision would come to; nothing comes of it."""
        pending = self._approvals[sent.request.id]
        return judge(pending, sent.verdict, sent.decision, approver, came_at, named=self.named_in_start())

    def judge(
        self, sent: DecisionOn, approver: Approver | Refusal, came_at: datetime, found: str = ""
    ) -> PendingApproval | Refusal:
        """Count a decision, or refuse it; either is on record.

        Args:
            sent: The decision.
            approver: Who it is, or why the identity does not hold.
            came_at: When it came.
            found: What history said of that, if it was asked.
        """
        decision, pending = sent.decision, self._approvals[sent.request.id]
        judged = self.weigh(sent, approver, came_at)
        if isinstance(judged, Refusal):
            reason = f"{judged.reason}; {found}" if found else judged.reason
            self._log.note(subject_of(sent.verdict), False, f"{pending.request.id}: {reason}", by=decision.by)
            attempt = RefusedAttempt(
                at=came_at, by=decision.by, verdict=sent.verdict, reason=reason[:MAX_NOISE]
            )
            self._approvals[pending.request.id] = pending.with_refused(attempt, approver)
            return judged
        assert isinstance(approver, Approver)  # judge refused it otherwise
        self._approvals[judged.request.id] = judged
        needed = f"; {judged.people_needed} more needed" if judged.people_needed else ""
        reason = decision.reason if approver.reason is None else approver.reason
        when = f"; {found}" if found else ""
        said = f"{judged.request.id} ({how_known(approver)}){when}{needed} {reason}".strip()
        tool, by = judged.request.tool, approver.consent.name
        self._log.note(subject_of(sent.verdict), True, said, tool=tool, by=by)
        return judged

    def reconsider(self) -> list[str]:
        """Take back the consents that no longer count, of what nobody has acted on. Answers whose."""
        resting = [
            pending
            for key, pending in self._approvals.items()
            if pending.consents and key not in self._acted_on
        ]
        if not resting:
            return []
        trust, gone = self._identities.trust(), list[str]()
        for pending in resting:
            request = pending.request
            kept = pending.keeping(stands_for(request.quorum, trust, request.requested_by))
            gone += [f"{one.name} ({request.id})" for one in pending.consents if one not in kept.consents]
            self._approvals[request.id] = kept
        return gone

    def _is_over(self, approval_id: ApprovalId) -> bool:
        return self._approvals[approval_id].outcome is not None

    def _stands(self, approval_id: ApprovalId) -> bool:
        """Whether an approval may be acted on now; if not, it is open again."""
        pending, trust = self._approvals[approval_id], self._identities.trust()
        quorum, requested_by = pending.request.quorum, pending.request.requested_by
        objections = objections_to(pending.consents, quorum, trust, requested_by=requested_by)
        if not objections:
            return True
        kept = pending.keeping(stands_for(quorum, trust, requested_by))
        # What is wrong may be with all of them together: then none is kept.
        self._approvals[approval_id] = kept if kept is not pending else pending.taking_back(pending.consents)
        again = f"{approval_id} is open again, its approval no longer holds: {'; '.join(objections)}"
        self._log.note("approval", False, again, tool=pending.request.tool)
        return False


def subject_of(verdict: Verdict) -> Subject:
    """What a line of the log on a decision is about."""
    return "approval" if verdict == "approve" else "rejection"


def until(deadline: datetime) -> timedelta:
    """How long there is still time."""
    return max(deadline - workflow.now(), timedelta(0))
