"""What a worker's memory does while runs of very many turns go through it, one after the other."""

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from benchmarks.engine.compare import Size, Tell
from benchmarks.engine.measure import start
from benchmarks.engine.script import Job
from benchmarks.engine.stage import on_stage

ARM = "agentflow"
_EVERY_SECONDS = 1.0
_PARTS = 5
"""In how many parts of a run its memory is told."""


async def memory(directory: Path, size: Size, tell: Tell) -> dict[str, Any]:
    """Run ``size.runs`` runs of ``size.turns`` turns; tell the worker's memory in each fifth of each run."""
    async with on_stage(directory, {ARM: 1}) as stage:
        client, process = await stage.client_of(ARM), stage.workers[ARM][0].process
        await (await start(client, ARM, Job(5))).result()
        before, parts = process.memory_info().rss / 1e6, list[list[float]]()
        for number in range(size.runs):
            handle = await start(client, ARM, Job(size.turns))
            samples = await _samples_until(process, asyncio.create_task(handle.result()))
            parts.append([round(max(part), 1) for part in _cut(samples)])
            tell(f"run {number + 1}: {', '.join(f'{mb:.0f}' for mb in parts[-1])} MB")
    return {"turns": size.turns, "runs": size.runs, "rss_mb_before": round(before, 1), "rss_mb": parts}


async def _samples_until(process: psutil.Process, end: "asyncio.Task[Any]") -> list[float]:
    """Memory in MB, second by second."""
    samples = list[float]()
    while not end.done():
        samples.append(process.memory_info().rss / 1e6)
        await asyncio.wait([end], timeout=_EVERY_SECONDS)
    await end
    return samples


def _cut(samples: list[float]) -> list[list[float]]:
    """The samples in parts of one length."""
    bounds = [len(samples) * part // _PARTS for part in range(_PARTS + 1)]
    return [samples[low : max(high, low + 1)] for low, high in pairwise(bounds)]
