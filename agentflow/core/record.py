"""The run's decision log, as the ``decisions`` query returns it."""

from dataclasses import dataclass, replace

from agentflow.contracts.rules import DecisionRecord

MAX_RECORDS = 2_000
"""A flood of refused signals must not grow a run's memory without bound."""


@dataclass(frozen=True)
class DecisionLog:
    """Records, the oldest first; beyond the bound the oldest refused signals go first."""

    records: tuple[DecisionRecord, ...] = ()
    dropped: int = 0

    def add(self, record: DecisionRecord) -> "DecisionLog":
        """Append a record."""
        records = (*self.records, record)
        if len(records) <= MAX_RECORDS:
            return replace(self, records=records)
        # History has every signal; what drops out of the query is noise before it is a decision.
        victim = next((i for i, old in enumerate(records) if old.subject == "signal"), 0)
        return DecisionLog((*records[:victim], *records[victim + 1 :]), self.dropped + 1)
