"""The escalation of one run that is open: what people say of it, until enough of them say the same."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from temporalio import workflow

from agentflow.contracts.approval import Approver
from agentflow.contracts.escalation import EffectInDoubt, Escalation, Resolution
from agentflow.contracts.identity import Consent, RefusedAttempt
from agentflow.contracts.rules import Quorum
from agentflow.contracts.wire import Json
from agentflow.core.answer import AnswerForm
from agentflow.core.approval import Refusal, sender
from agentflow.core.consents import objections_to, stands_for
from agentflow.core.escalation import OpenEscalation, elsewhere, judge_resolution, people_missing, unanswered
from agentflow.core.record import MAX_NOISE
from agentflow.core.schema import SchemaCheck
from agentflow.workflow.approvals import until
from agentflow.workflow.identities import AnswerTo, Identities
from agentflow.workflow.people_log import PeopleLog, how_known


@dataclass(frozen=True)
class Doubt:
    """A write that may have happened, and what a person's word on its output must fit."""

    effect: EffectInDoubt
    output_check: SchemaCheck
    quorum: Quorum
    """Who must say what became of it: as many as its approval needed."""


class Escalations:
    """What a run needs people to take over. One is open at a time."""

    def __init__(
        self, identities: Identities, log: PeopleLog, is_heard_of: Callable[[str, datetime], bool]
    ) -> None:
        """Ask nobody yet.

        Args:
            identities: Tells who people are.
            log: Of what counted and what did not.
            is_heard_of: Whether something waits to be judged that may have come in time for an escalation, by
                its id and its deadline.
        """
        self._identities = identities
        self._log = log
        self._is_heard_of = is_heard_of
        self._open: OpenEscalation | None = None
        self.count: int = 0
        """How many there have been."""

    @property
    def current(self) -> Escalation | None:
        """The open escalation, with what people have said so far."""
        return self._open.escalation if self._open else None

    @property
    def consents(self) -> list[Consent]:
        """Of those who have said something of the open escalation."""
        return [word.consent for word in self._open.escalation.words] if self._open else []

    def open(
        self,
        reason: str,
        deadline: datetime,
        *,
        requested_by: str,
        form: AnswerForm[Json] | None = None,
        doubt: Doubt | None = None,
    ) -> None:
        """Let people take over: with a form, supply the answer; of a doubt, say what happened."""
        self.count += 1
        now = workflow.now()
        quorum = doubt.quorum if doubt else Quorum()
        escalation = Escalation(
            id=f"escalation-{self.count}",
            reason=reason,
            deadline=deadline,
            asked_at=now,
            answerable=form is not None,
            run=self._identities.run,
            identity=self._identities.method,
            effect=doubt.effect if doubt else None,
            quorum=quorum,
            next_roles_from=now + (deadline - now) / 2 if quorum.next_roles else None,
            requested_by=requested_by,
        )
        self._open = OpenEscalation(escalation, form, doubt.output_check if doubt else None)

    async def resolution(self) -> Resolution | str:
        """Wait until people resolve the open escalation; a text says what they did when its deadline passed.

        Their word counts if it still does when the run acts on it, which is when this answers.
        """
        assert self._open is not None
        escalation = self._open.escalation
        try:
            while True:
                try:
                    await workflow.wait_condition(
                        self._is_over,
                        timeout=until(escalation.deadline),
                        timeout_summary=f"deadline of {escalation.id}",
                    )
                except TimeoutError:
                    # What came in time counts, though this run hears it only now.
                    if self._is_heard_of(escalation.id, escalation.deadline):
                        await workflow.wait_condition(
                            lambda: (
                                self._is_over() or not self._is_heard_of(escalation.id, escalation.deadline)
                            )
                        )
                    if not self._is_over():
                        break
                if (resolution := self._standing_outcome()) is not None:
                    return resolution
            missed = unanswered(self._open.escalation)
            self._log.note("resolution", False, f"{escalation.id}: {missed}")
            return missed
        finally:
            self._open = None

    def asked(
        self, resolution: Resolution, came_before: Callable[[datetime | None], bool]
    ) -> AnswerTo | None:
        """The escalation that a resolution is about, whoever sent it; what is about none is on record.

        Who sent it is asked also where it can't count: nothing that they signed earlier does from then on.

        Args:
            resolution: What somebody sent.
            came_before: Whether it came before people were asked.
        """
        open_one = self._open if self._open and not came_before(self._open.escalation.asked_at) else None
        if (problem := elsewhere(open_one, resolution)) is not None or self._open is None:
            self._refuse(resolution, problem or "nothing is escalated", workflow.now())
            return None
        return AnswerTo(resolution, self._open.escalation)

    def weigh(
        self, sent: AnswerTo, approver: Approver | Refusal, came_at: datetime
    ) -> OpenEscalation | Refusal:
        """What a word would come to; nothing comes of it."""
        open_one = self._open
        if open_one is not None and open_one.escalation.id != sent.escalation.id:
            open_one = None  # it was verified while another one opened
        return judge_resolution(open_one, sent.resolution, approver, came_at)

    def judge(
        self, sent: AnswerTo, approver: Approver | Refusal, came_at: datetime, found: str = ""
    ) -> OpenEscalation | Refusal:
        """Count a word, or refuse it; either is on record.

        Args:
            sent: The word.
            approver: Who it is, or why the identity does not hold.
            came_at: When it came.
            found: What history said of that, if it was asked.
        """
        resolution, judged = sent.resolution, self.weigh(sent, approver, came_at)
        if isinstance(judged, Refusal):
            reason = f"{judged.reason}; {found}" if found else judged.reason
            open_one, person = self._open, sender(approver)
            is_open = open_one is not None and open_one.escalation.id == sent.escalation.id
            # What came after the deadline takes nothing from what came before it.
            if open_one and is_open and person and came_at < sent.deadline:
                self._open = open_one.with_latest(person.consent, resolution)
                if self._open.escalation.words != open_one.escalation.words:
                    reason = f"{reason}; what {person.consent.by} said before no longer counts either"
            self._refuse(resolution, reason, came_at)
            return judged
        assert isinstance(approver, Approver)  # judge_resolution refused it otherwise
        self._open = judged
        missing = people_missing(judged.escalation)
        waits = f"{missing} more must say the same" if missing else "not all say the same"
        needed = "" if judged.outcome is not None else f"; {waits}"
        when = f"; {found}" if found else ""
        told = f"{resolution.action}: {resolution.text} ({how_known(approver)}){when}{needed}"
        self._log.note("resolution", True, told, by=approver.consent.name)
        return judged

    def reconsider(self) -> list[str]:
        """Take back the words of those who no longer count. Answers whose those were."""
        if self._open is None:
            return []
        said = self._open.escalation
        stands = stands_for(said.quorum, self._identities.trust(), said.requested_by)
        self._open = self._open.keeping(stands)
        left = self._open.escalation.words
        return [f"{one.consent.name} ({said.id})" for one in said.words if one not in left]

    def _is_over(self) -> bool:
        return self._open is not None and self._open.outcome is not None

    def _standing_outcome(self) -> Resolution | None:
        """People's word, if it may be acted on now; else the escalation is open again."""
        open_one, trust = self._open, self._identities.trust()
        if open_one is None or open_one.outcome is None or open_one.outcome.action == "abort":
            return open_one.outcome if open_one else None
        said = open_one.escalation
        consents = [word.consent for word in said.words]
        objections = objections_to(consents, said.quorum, trust, requested_by=said.requested_by)
        if not objections:
            return open_one.outcome
        kept = open_one.keeping(stands_for(said.quorum, trust, said.requested_by))
        if kept is open_one:
            kept = kept.with_words(())
        self._open = kept
        if kept.outcome is not None:
            return None  # those who are left are enough, and say the same: they are looked at next
        again = f"{said.id} is open again, what was said no longer holds: {'; '.join(objections)}"
        self._log.note("resolution", False, again)
        return None

    def _refuse(self, resolution: Resolution, reason: str, came_at: datetime) -> None:
        self._log.note("resolution", False, reason, by=resolution.by)
        if self._open is not None:
            attempt = RefusedAttempt(
                at=came_at, by=resolution.by, verdict=resolution.action, reason=reason[:MAX_NOISE]
            )
            self._open = self._open.with_refused(attempt)
