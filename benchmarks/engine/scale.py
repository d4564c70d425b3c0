"""Steps a second by the number of worker processes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.engine.compare import Size, Tell, compare
from benchmarks.engine.figures import Rounds


async def scale(
    directory: Path, arms: Sequence[str], workers: Sequence[int], size: Size, tell: Tell
) -> dict[int, Rounds]:
    """Compare the arms with so many workers each: for each number on a new server, with new workers.

    There are at least as many runs at a time as there are slots to fill: ``concurrency`` is for one worker.
    """
    return {
        count: await compare(
            directory / str(count), arms, replace(size, concurrency=size.concurrency * count), tell, count
        )
        for count in workers
    }
