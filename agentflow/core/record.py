"""The run's decision log, as the ``decisions`` query returns it."""

from dataclasses import dataclass, replace

from agentflow.contracts.rules import DecisionRecord

MAX_RECORDS = 2_000
"""A flood of refused signals must not grow a run's memory without bound."""


@dataclass(frozen=True)
class DecisionLog:
    """Records, the oldest first; beyond the bound, what was refused of people's signals goes first."""

    records: tuple[DecisionRecord, ...] = ()
    dropped: int = 0

    def add(self, record: DecisionRecord) -> "DecisionLog":
        """Append a record."""
        records = (*self.records, record)
        if len(records) <= MAX_RECORDS:
            return replace(self, records=records)
        # History has every signal; what drops out of the query is noise before it is a decision.
        victim = next((i for i, old in enumerate(records) if _is_noise(old)), 0)
        return DecisionLog((*records[:victim], *records[victim + 1 :]), self.dropped + 1)


def _is_noise(record: DecisionRecord) -> bool:
    """Whether somebody sent it and it had no effect: malformed, or refused."""
    return record.subject == "signal" or (record.by is not None and not record.accepted)
