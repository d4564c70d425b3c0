"""The run's decision log, as the ``decisions`` query returns it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from agentflow.contracts.rules import DecisionRecord

MAX_RECORDS = 2_000
"""A flood of refused signals must not grow a run's memory without bound."""
MAX_BYTES = 512 * 1024
"""Of all records as JSON: the log is one answer of a query, and goes along when a run continues as new, in
one payload with all else that the run knows."""
MAX_DETAIL = 2_000
"""Characters of one record's text."""
MAX_NOISE = 300
"""The same, of what had no effect: nobody has verified who sent it, and they may send any number."""


@dataclass(frozen=True)
class DecisionLog:
    """Records, the oldest first. Beyond a bound, what was refused of people's signals goes first.

    Then goes what anybody may send who may signal (freezes, revocations), and last what rules and people
    decided.
    """

    records: tuple[DecisionRecord, ...] = ()
    dropped: int = 0
    """How many are gone."""
    size: int | None = None
    """In bytes, as JSON; ``None`` is not measured yet."""

    def add(self, record: DecisionRecord) -> "DecisionLog":
        """Append a record."""
        record = _shortened(record)
        records, dropped = [*self.records, record], self.dropped
        size = (_total(self.records) if self.size is None else self.size) + _size(record)
        while len(records) > MAX_RECORDS or size > MAX_BYTES:
            # History has every signal; what drops out of the query is noise before it is a decision.
            size -= _size(records.pop(_first_to_go(records)))
            dropped += 1
        return DecisionLog(tuple(records), dropped, size)

    def counting_one_more(self) -> "DecisionLog":
        """With one line more that is left out from the first."""
        return replace(self, dropped=self.dropped + 1)

    def quiet(self) -> "DecisionLog":
        """Without what goes first: where what a run takes along is too long otherwise."""
        kept = tuple(record for record in self.records if not (has_no_effect(record) or _is_anybodys(record)))
        return DecisionLog(kept, self.dropped + len(self.records) - len(kept))

    def shown(self) -> tuple[DecisionRecord, ...]:
        """The records; the first of them says how many are gone, if any are."""
        if not (self.dropped and self.records):
            return self.records
        detail = (
            f"{self.dropped} lines are left out, of what was sent and had no effect first: history has all"
        )
        gone = DecisionRecord(subject="signal", accepted=False, detail=detail, at=self.records[0].at)
        return (gone, *self.records)


def has_no_effect(record: DecisionRecord) -> bool:
    """Whether somebody sent it and it had no effect: malformed, or refused."""
    return record.subject == "signal" or (record.by is not None and not record.accepted)


def _first_to_go(records: list[DecisionRecord]) -> int:
    kinds: tuple[Callable[[DecisionRecord], bool], ...] = (has_no_effect, _is_anybodys)
    found = (next((at for at, one in enumerate(records) if is_kind(one)), None) for is_kind in kinds)
    return next((at for at in found if at is not None), 0)


def _is_anybodys(record: DecisionRecord) -> bool:
    """Whether it had an effect, and whoever may signal may have sent it."""
    return record.subject in ("freeze", "revocation") and record.by is not None


def _shortened(record: DecisionRecord) -> DecisionRecord:
    limit = MAX_NOISE if has_no_effect(record) else MAX_DETAIL
    if len(record.detail) <= limit:
        return record
    return record.model_copy(update={"detail": f"{record.detail[: limit - 1]}…"})


def _total(records: Iterable[DecisionRecord]) -> int:
    return sum(map(_size, records))


def _size(record: DecisionRecord) -> int:
    return len(record.model_dump_json().encode())
