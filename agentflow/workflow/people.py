"""The doors through which people answer a run, and the order in which it hears them.

Handlers only append and mutate, and the run waits for what they changed. What can't be judged at once is
lined up (``hearing``).
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from temporalio import workflow

from agentflow.contracts.approval import ApprovalDecision, Approver, DecisionReceipt
from agentflow.contracts.names import (
    APPROVE_SIGNAL,
    FREEZE_SIGNAL,
    REJECT_SIGNAL,
    RESOLVE_SIGNAL,
    REVOKE_SIGNAL,
    UNFREEZE_SIGNAL,
)
from agentflow.core.approval import PendingApproval, Refusal, Verdict
from agentflow.core.consents import EVERY
from agentflow.core.signals import parse_decision, parse_resolution, parse_revocation
from agentflow.workflow.approvals import Approvals, subject_of
from agentflow.workflow.arrivals import HeardSignal
from agentflow.workflow.escalations import Escalations
from agentflow.workflow.hearing import Hearing, Judged, Posted, not_judged
from agentflow.workflow.identities import AnswerTo, DecisionOn, Identities
from agentflow.workflow.people_log import PeopleLog, Record
from agentflow.workflow.signal_queue import SignalQueue

_SIGNALS = (APPROVE_SIGNAL, REJECT_SIGNAL, RESOLVE_SIGNAL, REVOKE_SIGNAL, FREEZE_SIGNAL, UNFREEZE_SIGNAL)


class People:
    """What one run asks people, and what they say."""

    def __init__(
        self, identities: Identities, record: Record, changed: Callable[[], None], signals: SignalQueue
    ) -> None:
        """Let people answer.

        Args:
            identities: Tells who they are.
            record: Adds to the decision log.
            changed: Shows where the run stands, after something was judged meanwhile.
            signals: Those that the run has not taken yet.
        """
        self.identities: Identities = identities
        self._log = PeopleLog(record)
        self._hearing = Hearing(identities, weigh=self._weighed, count=self._counted, changed=changed)
        self._signals = signals
        self.approvals: Approvals = Approvals(identities, self._log, self._may_be_in_time)
        self.escalations: Escalations = Escalations(identities, self._log, self._may_be_in_time)
        identities.kids_in_use = self._kids_in_use
        self.requester_kid: Callable[[], str | None] = lambda: None
        """Key that says who asked for the run."""

    @property
    def are_heard(self) -> bool:
        """Whether something that people sent waits to be judged."""
        return self._hearing.is_going_on or self._signals.is_waiting

    def on_signal(self, heard: HeardSignal, payloads: Sequence[bytes]) -> None:
        """Take a signal. A refused one is recorded, and that is all."""
        match heard.name:
            case "approve" | "reject" as name:
                self._on_decision(name, tuple(payloads), heard)
            case "resolve":
                self._on_resolution(tuple(payloads), heard)
            case "revoke":
                self._on_revocation(tuple(payloads))
            case _:
                known = ", ".join(_SIGNALS)
                self._log.note("signal", False, f"unknown signal {heard.name[:80]!r}; known: {known}")

    async def decide(self, decision: ApprovalDecision) -> DecisionReceipt | Refusal:
        """Take a decision from the update, whose verdict is in the payload."""
        if decision.verdict is None:
            missing = Refusal("verdict must be approve or reject")
            self._log.note("approval", False, missing.reason, by=decision.by)
            return missing
        try:
            posted = self._decided(decision.verdict, decision, None)
        except Exception as error:
            posted = not_judged(error)
            self._log.note(subject_of(decision.verdict), False, posted.reason, by=decision.by)
        if isinstance(posted, Refusal):
            return posted
        if posted.judged is None:
            await workflow.wait_condition(lambda: posted.judged is not None)
        judged = posted.judged
        if isinstance(judged, Refusal):
            return judged
        assert isinstance(judged, PendingApproval)
        status = judged.outcome.status if judged.outcome else "pending"
        assert status != "expired"
        return DecisionReceipt(
            approval_id=judged.request.id, status=status, people_needed=judged.people_needed
        )

    def turn_away(self, why: str) -> None:
        """Refuse what nobody has judged yet, since this execution ends."""
        self._hearing.turn_away(why)
        if left := self._signals.turn_away():
            self._log.note("signal", False, f"{left} signals were not looked at: {why}")

    def reconsider(self) -> None:
        """Take back the consents and words that no longer count, by the keys and revocations of now."""
        if gone := [*self.approvals.reconsider(), *self.escalations.reconsider()]:
            self._log.note("revocation", True, f"no longer counts: {', '.join(gone)}")

    def _on_decision(self, verdict: Verdict, payloads: tuple[bytes, ...], heard: HeardSignal) -> None:
        decision = parse_decision(payloads)
        if isinstance(decision, Refusal):
            self._log.note("signal", False, f"{verdict}: {decision.reason}")
        elif decision.verdict not in (None, verdict):
            said = f"{verdict}: the payload says {decision.verdict}"
            self._log.note("signal", False, said, by=decision.by)
        else:
            self._decided(verdict, decision, heard)

    def _decided(
        self, verdict: Verdict, decision: ApprovalDecision, heard: HeardSignal | None
    ) -> Posted | Refusal:
        pending = self.approvals.named(decision.approval_id)
        if pending is None or _came_before(heard, pending.request.asked_at):
            unknown = Refusal(f"no approval {decision.approval_id}")
            self._log.note(subject_of(verdict), False, unknown.reason, by=decision.by)
            return unknown
        return self._hearing.hear(DecisionOn(verdict, decision, pending.request), heard)

    def _on_resolution(self, payloads: tuple[bytes, ...], heard: HeardSignal) -> None:
        resolution = parse_resolution(payloads)
        if isinstance(resolution, Refusal):
            self._log.note("signal", False, f"resolve: {resolution.reason}")
        elif asked := self.escalations.asked(resolution, came_before=partial(_came_before, heard)):
            self._hearing.hear(asked, heard)

    def _on_revocation(self, payloads: tuple[bytes, ...]) -> None:
        parsed = parse_revocation(payloads)
        if isinstance(parsed, Refusal):
            self._log.note("signal", False, f"revoke: {parsed.reason}")
            return
        # Whoever may signal may take a key's word away, never give it: no signature is asked for.
        why_not = self.identities.revoke(parsed)
        what = f"key {parsed.kid}" if parsed.kid is not None else f"delegation {parsed.delegation}"
        is_last = parsed.delegation is not None and EVERY in self.identities.revoked_delegations
        if why_not is None and is_last:
            what = f"{what}, and so many are revoked by now that no delegation counts in this run"
        said = parsed.reason if why_not is None else why_not
        self._log.note("revocation", why_not is None, f"{what}: {said}".rstrip(": "), by=parsed.by)
        self.reconsider()

    def _may_be_in_time(self, about: str, deadline: datetime) -> bool:
        """Whether something waits to be judged that may have come before the deadline of what it is about."""
        return self._hearing.concerns(about) or self._signals.may_have_come_before(deadline)

    def _kids_in_use(self) -> set[str]:
        consents = [*self.approvals.all_consents, *self.escalations.consents]
        kids = {kid for consent in consents for kid in consent.kids}
        requester = self.requester_kid()
        return kids if requester is None else kids | {requester}

    def _weighed(self, posted: Posted, approver: Approver | Refusal) -> Judged:
        match posted.sent:
            case DecisionOn() as sent:
                return self.approvals.weigh(sent, approver, posted.came_at)
            case AnswerTo() as sent:
                return self.escalations.weigh(sent, approver, posted.came_at)

    def _counted(self, posted: Posted, approver: Approver | Refusal) -> Judged:
        try:
            return self._judged(posted, approver)
        except Exception as error:
            # It may be the turn of something that waited: nothing else would end the wait for it.
            refusal, by = not_judged(error), posted.sent.payload.by
            self._log.note("signal", False, f"{posted.sent.about}: {refusal.reason}", by=by)
            return refusal

    def _judged(self, posted: Posted, approver: Approver | Refusal) -> Judged:
        self.reconsider()
        match posted.sent:
            case DecisionOn() as sent:
                return self.approvals.judge(sent, approver, posted.came_at, posted.found)
            case AnswerTo() as sent:
                return self.escalations.judge(sent, approver, posted.came_at, posted.found)


def _came_before(heard: HeardSignal | None, asked_at: datetime | None) -> bool:
    """Whether a signal that had to wait came before people were asked: nobody can know what they will be."""
    return heard is not None and asked_at is not None and heard.task.at <= asked_at
