"""What an agent's code came to, kept in history: a deploy may change the code while the run goes on."""

from pydantic import Field

from agentflow.contracts.messages import CompactionMessage
from agentflow.contracts.rules import Quorum, Verdict
from agentflow.contracts.wire import Contract, is_none


class SummaryPlan(Contract):
    """A ``core.compaction.Summarise``."""

    start: int
    end: int
    instructions: str
    model: int
    strategy: str | None = Field(default=None, exclude_if=is_none)
    """Name of the strategy; ``None`` in runs that began before it was recorded."""


class RecordedVerdict(Contract):
    """What the rules said of a call. The call and the rule set's name are known wherever it is read."""

    verdict: Verdict
    rule: str
    reason: str
    quorum: Quorum | None = Field(default=None, exclude_if=is_none)


class Recorded(Contract):
    """Argument and answer of the ``record`` local activity, which gives back what it is given."""

    decision: RecordedVerdict | None = Field(default=None, exclude_if=is_none)
    """What the rules said of a call."""
    problem: str | None = Field(default=None, exclude_if=is_none)
    """What a check found wrong, if anything; or why something could not be asked."""
    compaction: CompactionMessage | None = Field(default=None, exclude_if=is_none)
    """How a conversation becomes shorter."""
    summary: SummaryPlan | None = Field(default=None, exclude_if=is_none)
    """What of it a model is to summarise."""
