"""The order in which a run hears what people sent, and as of when each of it is judged.

Most is judged at once, as of the run's clock. What can't be is lined up, and one task of the run works that
off in order: where an agent's own verifier says who people are, and where something seems late, since a
workflow task may start long after it came. Then history is asked, by the server's time.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from temporalio import workflow

from agentflow.contracts.approval import Approver
from agentflow.contracts.arrival import Arrivals
from agentflow.contracts.identity import Consent
from agentflow.contracts.wire import Sha256, sha256_of
from agentflow.core.approval import PendingApproval, Refusal, sender
from agentflow.core.consents import people_of
from agentflow.core.escalation import OpenEscalation
from agentflow.workflow import people_calls
from agentflow.workflow.arrivals import HeardSignal
from agentflow.workflow.identities import Identities, Sent

MAX_QUEUE = 100
"""Of what is lined up: whoever may signal could send any number."""
MAX_SHARE = 5
"""Of what one sender has lined up about one question, once half of all places are taken."""

Judged = PendingApproval | OpenEscalation | Refusal


def not_judged(error: Exception) -> Refusal:
    """The refusal of what raised as it was judged.

    A handler that raises fails the workflow task, which is retried for ever: whoever may signal could stop
    the run with one payload.
    """
    return Refusal(f"it could not be judged: {type(error).__name__}: {error}"[:600])


@dataclass(frozen=True)
class Said:
    """What somebody says of one question: it takes one place, however often it is sent."""

    about: str
    by: tuple[str, ...]
    """The person, and on whose behalf; the stated name, where an agent's own verifier is yet to be asked."""
    word: Sha256
    """Of what they say: of signed words whatever stands around the token, since anybody can change that."""
    is_signed: bool
    """Whether a signed time says which of their words is the last; else the order does."""

    @classmethod
    def stated(cls, sent: Sent) -> "Said":
        """What was sent, where nobody knows yet by whom."""
        # A hash within a hash: what is nested as deep as a payload may be can't be put into anything.
        word = sha256_of([sent.word, sha256_of(sent.payload.model_dump(mode="json"))])
        return cls(sent.about, (sent.payload.by,), word, is_signed=False)

    @classmethod
    def by_somebody(cls, sent: Sent, consent: Consent) -> "Said":
        """What was sent by a person who is known."""
        word = sha256_of([sent.word, consent.model_dump(mode="json")])
        return cls(sent.about, people_of(consent), word, is_signed=consent.signed_at is not None)


@dataclass
class Posted:
    """What somebody sent, and what became of it: nothing yet while it is lined up."""

    sent: Sent
    came_at: datetime
    """As of when it is judged: the start of the workflow task that brought it, until history is asked."""
    signal: HeardSignal | None = None
    """``None`` for an update: that is not in history before a worker takes it."""
    is_disputed: bool = False
    """Whether history must say when it came."""
    otherwise_at: datetime | None = None
    """As of when it is judged if history can't say; ``None`` is ``came_at``."""
    found: str = ""
    """What history said of that, for the record."""
    signed_at: int | None = None
    """In seconds since 1970, where its sender signed it."""
    said: Said | None = None
    """What takes a place, if it is lined up; ``None`` if it can't count."""
    judged: Judged | None = None

    @property
    def may_be_in_time(self) -> bool:
        """Whether its deadline does not end it."""
        return self.is_disputed or self.came_at < self.sent.deadline


Judge = Callable[[Posted, Approver | Refusal], Judged]


class Hearing:
    """What people sent to one run and nobody has judged yet."""

    def __init__(
        self,
        identities: Identities,
        *,
        weigh: Judge,
        count: Judge,
        changed: Callable[[], None],
    ) -> None:
        """Hear nobody yet.

        Args:
            identities: Tells who people are.
            weigh: What something would come to; nothing comes of it.
            count: Judges something for good, on record.
            changed: Shows where the run stands, after something was judged meanwhile.
        """
        self._identities = identities
        self._weigh = weigh
        self._count = count
        self._changed = changed
        self._queue: list[Posted] = []
        self._task: asyncio.Task[None] | None = None

    @property
    def is_going_on(self) -> bool:
        """Whether something is lined up."""
        return bool(self._queue)

    def concerns(self, about: str) -> bool:
        """Whether something is lined up that may have come in time for an approval or an escalation."""
        return any(posted.sent.about == about and posted.may_be_in_time for posted in self._queue)

    def hear(self, sent: Sent, signal: HeardSignal | None) -> Posted:
        """Judge what somebody sent: at once, or once it is known by whom it was and when it came."""
        posted = Posted(sent, signal.task.at if signal else workflow.now(), signal)
        if self._identities.are_outside:
            posted.said = Said.stated(sent)
            posted.is_disputed = posted.came_at >= sent.deadline and self._is_open_to_doubt(posted)
            self._line_up(posted, posted.said, None)
            return posted
        approver = self._identities.verified(sent, posted.came_at)
        verdict = approver if isinstance(approver, Refusal) else self._weigh(posted, approver)
        is_late = isinstance(verdict, Refusal) and verdict.is_late
        # What can't count needs no place in the order in which people sent what may.
        may_wait = is_late or bool(self._queue) or not isinstance(verdict, Refusal)
        if may_wait and (person := sender(approver)) is not None:
            posted.said, posted.signed_at = Said.by_somebody(sent, person.consent), person.signed_at
            posted.is_disputed = is_late and self._is_open_to_doubt(posted)
            if not isinstance(verdict, Refusal) and signal and not self._counted_before(posted, signal):
                posted.is_disputed, posted.otherwise_at = True, self._earliest(posted, signal)
            if posted.is_disputed or (self._queue and not is_late):
                self._line_up(posted, posted.said, person)
                return posted
        posted.judged = self._count(posted, approver)
        return posted

    def turn_away(self, why: str) -> None:
        """Refuse what is lined up, since this execution ends."""
        queue, self._queue = self._queue, []
        for posted in queue:
            posted.judged = self._count(posted, Refusal(f"{why} before it was verified"))

    def _is_open_to_doubt(self, posted: Posted) -> bool:
        """Whether something that seems late may have come in time, before its workflow task started.

        It came after the task before had started. What was late by then is late for sure, and history is
        asked nothing: so whoever sends the same again and again keeps nobody waiting.
        """
        signal = posted.signal
        if signal is None or signal.task.after >= posted.sent.deadline:
            return False
        if self._identities.are_outside:
            return True
        # Before the signature is verified a second time: of copies there may be thousands in one task.
        if posted.said and (why := self._no_place(posted.said)):
            posted.found = f"when it came was not looked up: {why}"
            return False
        earliest = Posted(posted.sent, signal.task.after)
        approver = self._identities.verified(posted.sent, earliest.came_at)
        verdict = approver if isinstance(approver, Refusal) else self._weigh(earliest, approver)
        return not (isinstance(verdict, Refusal) and verdict.is_late)

    def _counted_before(self, posted: Posted, signal: HeardSignal) -> bool:
        """Whether what counts now did so already when its workflow task may have been waited for.

        A role, or a key, may have begun to count since it came.
        """
        earliest = self._earliest(posted, signal)
        approver = self._identities.verified(posted.sent, earliest)
        verdict = (
            approver
            if isinstance(approver, Refusal)
            else self._weigh(Posted(posted.sent, earliest), approver)
        )
        return not isinstance(verdict, Refusal)

    def _earliest(self, posted: Posted, signal: HeardSignal) -> datetime:
        """When something may have come at the earliest: not before it was asked for, or signed."""
        times = [signal.task.after]
        if posted.sent.asked_at is not None:
            times.append(posted.sent.asked_at)
        if posted.signed_at is not None:
            times.append(datetime.fromtimestamp(posted.signed_at, UTC))
        return min(max(times), posted.came_at)

    def _line_up(self, posted: Posted, said: Said, person: Approver | None) -> None:
        if why := self._no_place(said):
            refusal = Refusal(f"{why}; if it counts for nothing, send it again", of=person)
            posted.judged = self._count(posted, refusal)
            return
        self._queue.append(posted)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._hear_all())

    def _no_place(self, said: Said) -> str | None:
        """Why something is not lined up: what one sends again and again must not keep others out."""
        lined_up = [posted.said for posted in self._queue if posted.said is not None]
        theirs = [one for one in lined_up if (one.about, one.by) == (said.about, said.by)]
        # Who says yes, no and yes again where nobody signs means yes.
        if said in (theirs if said.is_signed else theirs[-1:]):
            return "the same was sent before, and waits to be judged"
        if len(theirs) >= MAX_SHARE and len(lined_up) >= MAX_QUEUE // 2:
            name, count = " for ".join(said.by), len(theirs)
            return f"{count} others of {name} on {said.about} wait to be judged"
        if len(lined_up) >= MAX_QUEUE:
            return f"{MAX_QUEUE} others wait to be judged"
        return None

    async def _hear_all(self) -> None:
        while self._queue:
            if disputed := next((posted for posted in self._queue if posted.is_disputed), None):
                await self._find_out_when(disputed)
                continue
            posted = self._queue[0]
            approver = await self._who(posted)
            # The queue may have been turned away meanwhile.
            if self._queue and self._queue[0] is posted:
                self._queue.pop(0)
                posted.judged = self._count(posted, approver)
                if self._identities.are_outside or not self._queue:
                    self._changed()

    async def _who(self, posted: Posted) -> Approver | Refusal:
        """Who sent what is next. Whatever fails, it was nobody: others wait behind it."""
        if self._identities.are_outside:
            return await self._identities.verified_outside(posted.sent, posted.came_at)
        try:
            return self._identities.verified(posted.sent, posted.came_at)
        except Exception as error:
            return not_judged(error)

    async def _find_out_when(self, first: Posted) -> None:
        """Ask history of all that one workflow task brought."""
        assert first.signal is not None  # an update is never disputed
        task = first.signal.task
        together = [
            (posted, posted.signal)
            for posted in self._queue
            if posted.is_disputed and posted.signal is not None and posted.signal.task is task
        ]
        try:
            inquiry = task.inquiry([signal for _, signal in together])
            arrivals = await people_calls.find_arrivals(self._identities.calls, inquiry)
        except Exception as error:
            # Whatever it is, it must not end the task that judges what others sent.
            arrivals = Arrivals(problem=f"{type(error).__name__}: {error}"[:600])
        known = arrivals.at if len(arrivals.at) == len(together) else (None,) * len(together)
        for (posted, _), at in zip(together, known, strict=True):
            posted.is_disputed = False
            asked_at = posted.sent.asked_at
            if at is not None and at <= task.at and (asked_at is None or asked_at <= at):
                posted.came_at, posted.found = at, f"it came at {at.isoformat()}"
            else:
                why = arrivals.problem or "history does not tell it from others"
                posted.found = f"when it came can't be told: {why}"
                posted.came_at = posted.otherwise_at or posted.came_at
