"""Worker settings, for many runs at once whose model takes its time."""

from pathlib import Path
from typing import Any

from benchmarks.engine.compare import Size, Tell
from benchmarks.engine.figures import Rounds
from benchmarks.engine.measure import Round, measure
from benchmarks.engine.stage import on_stage

ARM = "agentflow"
MODEL_SECONDS = 5.0
POLLERS = ("max_concurrent_workflow_task_polls", "max_concurrent_activity_task_polls")
SETTINGS: dict[str, dict[str, int]] = {
    "defaults": {},
    "100 slots": {"max_concurrent_activities": 100},
    "200 slots": {"max_concurrent_activities": 200},
    "2 pollers": dict.fromkeys(POLLERS, 2),
    "10 pollers": dict.fromkeys(POLLERS, 10),
    "20 pollers": dict.fromkeys(POLLERS, 20),
    "cache of 100": {"max_cached_workflows": 100},
}
"""By the name of what differs from the plugin's defaults."""


async def compare_settings(directory: Path, size: Size, tell: Tell) -> Rounds:
    """Measure each of the settings in each round."""
    rounds: dict[str, list[Round]] = {name: [] for name in SETTINGS}
    for number in range(size.rounds):
        for name, settings in SETTINGS.items():
            folder = directory / f"{number}-{name.replace(' ', '-')}"
            one = await _one(folder, {**settings, "model_seconds": MODEL_SECONDS}, size)
            rounds[name].append(one)
            tell(f"round {number + 1}, {name}: {one.steps_s:.1f} steps/s, {one.peak_rss_mb:.0f} MB")
    return rounds


async def _one(directory: Path, settings: dict[str, Any], size: Size) -> Round:
    async with on_stage(directory, {ARM: 1}, settings) as stage:
        return await measure(stage, ARM, turns=size.turns, runs=size.runs, concurrency=size.concurrency)
