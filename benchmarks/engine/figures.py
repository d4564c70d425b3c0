"""From rounds to figures: medians, ratios of the same round, a line of least squares."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Round:
    """What one round of an arm came to. The fields' names are the figures' names."""

    steps_s: float
    """Steps a second, over all runs."""
    cpu_ms_per_step: float
    """Of the arm's workers, in ms."""
    server_cpu_ms_per_step: float
    """Of the dev server, in ms."""
    history_kb: float
    """Of one run, as the server counts it, over all executions of its chain; 1 kB is 1,000 bytes."""
    history_events: float
    """Of one run."""
    workflow_tasks: float
    """Of one run, completed."""
    executions: float
    """In one run's chain; more than 1 where it continued as new."""
    turn_p50_ms: float
    """From one model call's scheduling to the next one's, over the runs of the round."""
    turn_p99_ms: float
    peak_rss_mb: float
    """The most memory that the arm's workers had at once, together; 1 MB is 1,000,000 bytes."""


Rounds = Mapping[str, Sequence[Round]]
"""By arm, in the order in which they were measured: rounds with the same index lie side by side in time."""

GUARDED = ("agentflow", "agentflow_local")
BY_HAND = ("naive", "minimal", "minimal_local")


def named(figure: str, arm: str) -> str:
    """A figure's key: agentflow's own are plain (``steps_s``, ``steps_s_local``), then ``steps_s_naive``."""
    return figure + (arm.removeprefix("agentflow") if arm in GUARDED else f"_{arm}")


def medians(rounds: Sequence[Round]) -> dict[str, float]:
    """The median of each figure."""
    return {
        field.name: round(statistics.median(getattr(one, field.name) for one in rounds), 2)
        for field in fields(Round)
    }


def ratios(rounds: Rounds, figure: str, arm: str, to: str) -> list[float]:
    """One arm's figure as a part of another's, round by round: the machine's speed drifts."""
    pairs = zip(rounds[arm], rounds[to], strict=True)
    return [getattr(one, figure) / getattr(other, figure) for one, other in pairs]


def ratio(rounds: Rounds, figure: str, arm: str, to: str) -> float:
    """The median of the ratios, not the ratio of the medians."""
    return round(statistics.median(ratios(rounds, figure, arm, to)), 3)


def pairs_of(arms: Sequence[str] | Rounds) -> list[tuple[str, str]]:
    """Whom to compare: each arm on agentflow with each by hand."""
    return [(arm, other) for arm in GUARDED for other in BY_HAND if arm in arms and other in arms]


def summary(rounds: Rounds) -> dict[str, float]:
    """All medians and ratios by name."""
    found = {
        named(figure, arm): value
        for arm, measured in rounds.items()
        for figure, value in medians(measured).items()
    }
    for figure in ("steps_s", "cpu_ms_per_step"):
        for arm, other in pairs_of(rounds):
            found[f"{named(figure, arm)}_ratio_{other}"] = ratio(rounds, figure, arm, other)
    return found


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed; 0 of no values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def fit(points: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """The line of least squares through points, and how much of their variance it explains.

    Returns:
        Slope, intercept and R².

    Raises:
        statistics.StatisticsError: there are fewer than two different abscissas.
    """
    line = statistics.linear_regression([x for x, _ in points], [y for _, y in points])
    mean = statistics.fmean(y for _, y in points)
    total = sum((y - mean) ** 2 for _, y in points)
    left = sum((y - line.slope * x - line.intercept) ** 2 for x, y in points)
    return line.slope, line.intercept, 1 - left / total if total else 1.0
