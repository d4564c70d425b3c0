"""Three workers, whose memory and whose blob directory are taken away while runs are under way."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

from benchmarks.engine.compare import Size, Tell
from benchmarks.engine.measure import start
from benchmarks.engine.script import Job
from benchmarks.engine.stage import on_stage

ARM = "agentflow"
WORKERS = 3
LOSSES = 3
_BETWEEN_LOSSES_SECONDS = 2


async def lose(directory: Path, size: Size, tell: Tell) -> dict[str, Any]:
    """Start the runs, take everything away several times, and count the runs that finish."""
    async with on_stage(directory, {ARM: WORKERS}) as stage:
        client = await stage.client_of(ARM)
        handles = [await start(client, ARM, Job(size.turns)) for _ in range(size.runs)]
        results = asyncio.gather(*(handle.result() for handle in handles), return_exceptions=True)
        losses = 0
        while losses < LOSSES and not results.done():
            await asyncio.wait([results], timeout=_BETWEEN_LOSSES_SECONDS)
            await asyncio.to_thread(shutil.rmtree, directory / ARM / "blobs", ignore_errors=True)
            tell("the blob directory is deleted")
            await stage.replace_workers(ARM)
            losses += 1
            tell("the workers are new, and know nothing")
        outcomes = await results
    completed = [outcome for outcome in outcomes if _has_completed(outcome)]
    return {
        "runs": size.runs,
        "turns": size.turns,
        "workers": WORKERS,
        "losses": losses,
        "completed": len(completed),
        "lost": len(outcomes) - len(completed),
    }


def _has_completed(outcome: Any) -> bool:
    return isinstance(outcome, dict) and outcome.get("status") == "completed"
