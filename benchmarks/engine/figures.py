"""From rounds to figures: medians, and ratios of the same round."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import fields

from benchmarks.engine.measure import Round

Rounds = Mapping[str, Sequence[Round]]
"""By arm, in the order in which they were measured."""

_NAMES = {
    "steps_s": "steps_s",
    "cpu_ms": "cpu_ms_per_step",
    "server_cpu_ms": "server_cpu_ms_per_step",
    "history_kb": "history_kb",
    "events": "history_events",
    "workflow_tasks": "workflow_tasks",
    "executions": "executions",
    "turn_p50_ms": "turn_p50_ms",
    "turn_p99_ms": "turn_p99_ms",
    "peak_rss_mb": "peak_rss_mb",
}
_SUFFIXES = {
    "agentflow": "",
    "agentflow_local": "_local",
    "naive": "_naive",
    "minimal": "_minimal",
    "minimal_local": "_minimal_local",
}


def medians(rounds: Sequence[Round]) -> dict[str, float]:
    """The median of each figure."""
    return {
        field.name: round(statistics.median(getattr(one, field.name) for one in rounds), 2)
        for field in fields(Round)
    }


def medians_by_name(rounds: Rounds) -> dict[str, dict[str, float]]:
    """The medians of whatever was compared."""
    return {name: medians(measured) for name, measured in rounds.items()}


def ratio(rounds: Rounds, figure: str, arm: str, to: str) -> float:
    """The median of one arm's figure in another's, round by round: the machine's speed drifts."""
    pairs = zip(rounds[arm], rounds[to], strict=True)
    return round(statistics.median(getattr(a, figure) / getattr(b, figure) for a, b in pairs), 3)


def summary(rounds: Rounds) -> dict[str, float]:
    """All figures by name: agentflow's are plain, the others' have the arm behind."""
    found: dict[str, float] = {}
    for arm, row in medians_by_name(rounds).items():
        for name, value in row.items():
            found[_NAMES[name] + _SUFFIXES[arm]] = value
    for arm in ("agentflow", "agentflow_local"):
        for other in ("naive", "minimal", "minimal_local"):
            if arm in rounds and other in rounds:
                name = f"steps_s{_SUFFIXES[arm]}_ratio{_SUFFIXES[other]}"
                found[name] = ratio(rounds, "steps_s", arm, other)
                found[name.replace("steps_s", "cpu_ms")] = ratio(rounds, "cpu_ms", arm, other)
    return found


def fit(points: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """The line of least squares through points, and how much of them it explains.

    Returns:
        Slope, intercept and R².

    Raises:
        ValueError: there are fewer than two different abscissas.
    """
    line = statistics.linear_regression([x for x, _ in points], [y for _, y in points])
    mean = statistics.fmean(y for _, y in points)
    total = sum((y - mean) ** 2 for _, y in points)
    left = sum((y - line.slope * x - line.intercept) ** 2 for x, y in points)
    return line.slope, line.intercept, 1 - left / total if total else 1.0


def table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """Rows of figures as text."""
    names = list(next(iter(rows.values())))
    width = max(map(len, rows))
    lines = [" ".join([" " * width, *(f"{name:>14}" for name in names)])]
    for title, figures in rows.items():
        lines.append(" ".join([title.ljust(width), *(f"{figures[name]:>14,.2f}" for name in names)]))
    return "\n".join(lines)
