"""Which signals came in which workflow task, so that a run can ask its history when each of them came.

Temporal hands a task's signals to the run without their times. What is counted here names each of them well
enough to find it: by its content, and which one of the task's it was.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from temporalio import workflow

from agentflow.contracts.arrival import ArrivalInquiry, SignalSought
from agentflow.contracts.wire import Sha256
from agentflow.core.arrival import content_of

MAX_IN_FULL = 100
"""Signals of one workflow task that are each on record, whatever becomes of them. Of the crowd beyond it, one
that has no effect is counted, and one that came before in the same words is not looked at again."""


@dataclass(frozen=True, eq=False)
class SignalTask:
    """A workflow task that brought signals."""

    at: datetime
    """When it started: all of its signals had come."""
    event: int
    """Id of the event of that."""
    after: datetime
    """When the last such task before it started, or the execution: none of its signals had come."""
    after_event: int
    copies: Counter[tuple[str, Sha256]] = field(default_factory=Counter[tuple[str, Sha256]])
    """How many signals there are of each name and content."""

    def inquiry(self, heard: Sequence["HeardSignal"]) -> ArrivalInquiry:
        """Asks history when some of its signals came."""
        sought = [
            SignalSought(
                name=one.name, content=one.content, nth=one.nth, of=self.copies[one.name, one.content]
            )
            for one in heard
        ]
        return ArrivalInquiry(after_event=self.after_event, until_event=self.event, sought=tuple(sought))


@dataclass(frozen=True)
class HeardSignal:
    """A signal as the run heard it."""

    name: str
    content: Sha256
    nth: int
    """Which of those of this name and content in its task; the first is 1."""
    task: SignalTask
    place: int
    """Which of all of its task; the first is 1."""

    @property
    def is_first_of_crowd(self) -> bool:
        """Whether from here on there are too many."""
        return self.place == MAX_IN_FULL + 1

    @property
    def is_of_crowd(self) -> bool:
        """Whether it is one of too many."""
        return self.place > MAX_IN_FULL

    @property
    def is_repeated(self) -> bool:
        """Whether it is one of too many, and came before in the same words."""
        return self.is_of_crowd and self.nth > 1


class SignalLog:
    """Counts the signals of one execution."""

    def __init__(self) -> None:
        began = workflow.info().start_time
        self._task = SignalTask(at=began, event=0, after=began, after_event=0)
        self._count = 0

    def heard(self, name: str, payloads: Sequence[bytes]) -> HeardSignal:
        """Count a signal, in the order in which they are handed to the run."""
        event, last = workflow.info().get_current_history_length(), self._task
        if event != last.event:
            self._task = SignalTask(at=workflow.now(), event=event, after=last.at, after_event=last.event)
            self._count = 0
        content = content_of(payloads)
        self._task.copies[name, content] += 1
        self._count += 1
        return HeardSignal(name, content, self._task.copies[name, content], self._task, self._count)
