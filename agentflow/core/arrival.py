"""Which event of a run's history a signal was: by its name, its content, and which of those it was."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256

from agentflow.contracts.arrival import SignalSought
from agentflow.contracts.wire import Sha256


@dataclass(frozen=True)
class SignalEvent:
    """A signal as history has it."""

    id: int
    """Of the event, in its execution."""
    at: datetime
    """By the server's clock."""
    name: str
    content: Sha256

    @property
    def kind(self) -> tuple[str, Sha256]:
        """What tells it from other signals."""
        return self.name, self.content


def content_of(payloads: Sequence[bytes]) -> Sha256:
    """Hash of a signal's payloads as the run sees them: decoded, and without their metadata."""
    digest = sha256()
    for data in payloads:
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return Sha256(digest.hexdigest())


def times_of(sought: Sequence[SignalSought], signals: Sequence[SignalEvent]) -> tuple[datetime | None, ...]:
    """When each of the signals came, or ``None``.

    Where history has another number of a name and content than the run heard, nobody can say which is which:
    none of them has a time.

    Args:
        sought: Signals that a run heard in one workflow task.
        signals: Those that history has of that task, in its order.
    """
    times: dict[tuple[str, Sha256], list[datetime]] = {}
    for signal in signals:
        times.setdefault(signal.kind, []).append(signal.at)

    def time_of(one: SignalSought) -> datetime | None:
        found = times.get((one.name, one.content), [])
        return found[one.nth - 1] if len(found) == one.of and one.nth <= one.of else None

    return tuple(map(time_of, sought))


def as_first_sent(signals: Sequence[SignalEvent], before: Sequence[SignalEvent]) -> Iterator[SignalEvent]:
    """Signals after a reset, each with the time at which it was first sent.

    A reset sends again what came after its point, and history then has the time of the reset. What it sends
    again comes first, in the old order. Where less of a name and content came after the reset than before it,
    some were left out, and all keep the later time.

    Args:
        signals: Those of the new execution, after the reset.
        before: Those of the execution that was reset, after the same point.
    """
    times: dict[tuple[str, Sha256], list[datetime]] = {}
    for signal in before:
        times.setdefault(signal.kind, []).append(signal.at)
    counts: dict[tuple[str, Sha256], int] = {}
    for signal in signals:
        counts[signal.kind] = counts.get(signal.kind, 0) + 1
    seen: dict[tuple[str, Sha256], int] = {}
    for signal in signals:
        number = seen[signal.kind] = seen.get(signal.kind, 0) + 1
        first = times.get(signal.kind, [])
        is_again = number <= len(first) <= counts[signal.kind]
        yield replace(signal, at=first[number - 1]) if is_again else signal
