"""The doors through which people answer a run, and the order in which it hears them.

Handlers only append and mutate, and the run waits for what they changed. Where an agent's own verifier says
who people are, handlers append to a queue, and one task of the run verifies and judges in order.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
from agentflow.core.escalation import OpenEscalation
from agentflow.core.signals import parse_decision, parse_resolution, parse_revocation
from agentflow.workflow.approvals import Approvals, subject_of
from agentflow.workflow.escalations import Escalations
from agentflow.workflow.identities import AnswerTo, DecisionOn, Identities, Sent
from agentflow.workflow.people_log import PeopleLog, Record

MAX_QUEUE = 100
"""Of what waits to be verified outside: whoever may signal could send any number."""

_SIGNALS = (APPROVE_SIGNAL, REJECT_SIGNAL, RESOLVE_SIGNAL, REVOKE_SIGNAL, FREEZE_SIGNAL, UNFREEZE_SIGNAL)

Judged = PendingApproval | OpenEscalation | Refusal


@dataclass
class Posted:
    """What somebody sent, and what became of it: nothing yet while it waits to be verified."""

    sent: Sent
    judged: Judged | None = None


class People:
    """What one run asks people, and what they say."""

    def __init__(self, identities: Identities, record: Record, changed: Callable[[], None]) -> None:
        """Let people answer.

        Args:
            identities: Tells who they are.
            record: Adds to the decision log.
            changed: Shows where the run stands, after somebody was verified meanwhile.
        """
        self.identities: Identities = identities
        self._log = PeopleLog(record)
        self.approvals: Approvals = Approvals(identities, self._log)
        self.escalations: Escalations = Escalations(identities, self._log)
        self._changed = changed
        self._queue: list[Posted] = []
        self._verifying: asyncio.Task[None] | None = None

    @property
    def is_verifying(self) -> bool:
        """Whether something that people sent waits to be verified."""
        return bool(self._queue)

    def on_signal(self, name: str, payloads: Sequence[bytes]) -> None:
        """Take a signal. A refused one is recorded, and that is all."""
        match name:
            case "approve" | "reject":
                self._on_decision(name, tuple(payloads))
            case "resolve":
                self._on_resolution(tuple(payloads))
            case "revoke":
                self._on_revocation(tuple(payloads))
            case _:
                known = ", ".join(_SIGNALS)
                self._log.note("signal", False, f"unknown signal {name[:80]!r}; known: {known}")

    async def decide(self, decision: ApprovalDecision) -> DecisionReceipt | Refusal:
        """Take a decision from the update, whose verdict is in the payload."""
        if decision.verdict is None:
            return Refusal("verdict must be approve or reject")
        posted = self._decided(decision.verdict, decision)
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
        """Refuse what nobody has verified yet, since this execution ends."""
        queue, self._queue = self._queue, []
        for posted in queue:
            posted.judged = self._judged(posted.sent, Refusal(f"{why} before it was verified"))

    def reconsider(self) -> None:
        """Take back the consents and words that no longer count, by the keys and revocations of now."""
        if gone := [*self.approvals.reconsider(), *self.escalations.reconsider()]:
            self._log.note("revocation", True, f"no longer counts: {', '.join(gone)}")

    def _on_decision(self, verdict: Verdict, payloads: tuple[bytes, ...]) -> None:
        decision = parse_decision(payloads)
        if isinstance(decision, Refusal):
            self._log.note("signal", False, f"{verdict}: {decision.reason}")
        elif decision.verdict not in (None, verdict):
            said = f"{verdict}: the payload says {decision.verdict}"
            self._log.note("signal", False, said, by=decision.by)
        else:
            self._decided(verdict, decision)

    def _decided(self, verdict: Verdict, decision: ApprovalDecision) -> Posted | Refusal:
        pending = self.approvals.named(decision.approval_id)
        if pending is None:
            unknown = Refusal(f"no approval {decision.approval_id}")
            self._log.note(subject_of(verdict), False, unknown.reason, by=decision.by)
            return unknown
        return self._post(DecisionOn(verdict, decision, pending.request))

    def _on_resolution(self, payloads: tuple[bytes, ...]) -> None:
        resolution = parse_resolution(payloads)
        if isinstance(resolution, Refusal):
            self._log.note("signal", False, f"resolve: {resolution.reason}")
        elif asked := self.escalations.asked(resolution):
            self._post(asked)

    def _on_revocation(self, payloads: tuple[bytes, ...]) -> None:
        parsed = parse_revocation(payloads)
        if isinstance(parsed, Refusal):
            self._log.note("signal", False, f"revoke: {parsed.reason}")
            return
        # Whoever may signal may take a key's word away, never give it: no signature is asked for.
        is_new = self.identities.revoke(parsed)
        what = f"key {parsed.kid}" if parsed.kid is not None else f"delegation {parsed.delegation}"
        said = parsed.reason if is_new else "it was revoked before"
        self._log.note("revocation", is_new, f"{what}: {said}".rstrip(": "), by=parsed.by)
        self.reconsider()

    def _post(self, sent: Sent) -> Posted:
        """Judge what somebody sent: at once, or once it is verified outside."""
        posted = Posted(sent)
        if not self.identities.are_outside:
            posted.judged = self._judged(sent, self.identities.verified(sent))
        elif len(self._queue) >= MAX_QUEUE:
            posted.judged = self._judged(sent, Refusal(f"{MAX_QUEUE} others wait to be verified; try again"))
        else:
            self._queue.append(posted)
            if self._verifying is None or self._verifying.done():
                self._verifying = asyncio.create_task(self._verify_all())
        return posted

    async def _verify_all(self) -> None:
        while self._queue:
            posted = self._queue[0]
            approver = await self.identities.verified_outside(posted.sent)
            # The queue may have been turned away meanwhile.
            if self._queue and self._queue[0] is posted:
                self._queue.pop(0)
                posted.judged = self._judged(posted.sent, approver)
                self._changed()

    def _judged(self, sent: Sent, approver: Approver | Refusal) -> Judged:
        self.reconsider()
        match sent:
            case DecisionOn():
                return self.approvals.judge(sent, approver)
            case AnswerTo():
                return self.escalations.judge(sent, approver)
