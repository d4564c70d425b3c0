"""How history and memory grow with the turns of one run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowFailureError

from benchmarks.engine.compare import Tell
from benchmarks.engine.figures import fit
from benchmarks.engine.measure import Round, measure, start
from benchmarks.engine.script import Job
from benchmarks.engine.stage import Stage, on_stage

ARMS = ("naive", "minimal", "agentflow", "agentflow_local")
NAIVE_AT_MOST = 200
"""A run that passes its list of messages grows by its square. At 1,000 turns of 2 kB its last model call
alone would be 2 MB, which Temporal refuses, and its history 1 GB, of which Temporal takes 50 MiB."""


async def growth(directory: Path, arms: Sequence[str], turns: Sequence[int], tell: Tell) -> dict[str, Any]:
    """Run one run of each of these arms at each size."""
    found: dict[str, Any] = {"turns": list(turns)}
    async with on_stage(directory, dict.fromkeys(arms, 1)) as stage:
        for arm in arms:
            await measure(stage, arm, turns=5, runs=1, concurrency=1)
            before = stage.workers[arm][0].process.memory_info().rss / 1e6
            sizes = [size for size in turns if arm != "naive" or size <= NAIVE_AT_MOST]
            rounds = [await _one(stage, arm, size, tell) for size in sizes]
            found |= {
                f"{arm}_history_kb": [round(one.history_kb, 1) for one in rounds],
                f"{arm}_events": [int(one.events) for one in rounds],
                f"{arm}_executions": [int(one.executions) for one in rounds],
                f"{arm}_rss_mb": [round(before, 1), *(round(one.peak_rss_mb, 1) for one in rounds)],
                f"{arm}_cpu_ms_per_step": [round(one.cpu_ms, 2) for one in rounds],
            }
            if len(sizes) > 2:
                slope, _, explained = fit(
                    [(size, one.history_kb) for size, one in zip(sizes, rounds, strict=True)]
                )
                found |= {f"{arm}_kb_per_turn": round(slope, 3), f"{arm}_r2": round(explained, 5)}
    return found


async def _one(stage: Stage, arm: str, turns: int, tell: Tell) -> Round:
    one = await measure(stage, arm, turns=turns, runs=1, concurrency=1)
    tell(f"{arm}, {turns} turns: {one.history_kb:,.0f} kB in {one.executions:.0f} executions")
    return one


async def naive_limit(directory: Path, turns: int) -> str:
    """How a run that passes its list of messages ends at so many turns."""
    async with on_stage(directory, {"naive": 1}) as stage:
        handle = await start(stage.client, "naive", Job(turns))
        try:
            await handle.result()
        except WorkflowFailureError as error:
            return str(error.cause)
    return "completed"
