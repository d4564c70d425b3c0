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


class SignalLog:
    """Counts the signals of one execution."""

    def __init__(self) -> None:
        began = workflow.info().start_time
        self._task = SignalTask(at=began, event=0, after=began, after_event=0)

    def heard(self, name: str, payloads: Sequence[bytes]) -> HeardSignal:
        """Count a signal, in the order in which they are handed to the run."""
        now, event = workflow.now(), workflow.info().get_current_history_length()
        last = self._task
        if (now, event) != (last.at, last.event):
            self._task = SignalTask(at=now, event=event, after=last.at, after_event=last.event)
        content = content_of(payloads)
        self._task.copies[name, content] += 1
        return HeardSignal(name, content, self._task.copies[name, content], self._task)
