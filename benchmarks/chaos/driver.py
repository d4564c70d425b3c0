"""One chaos run from end to end: a world after the other."""

import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.chaos.ledgers import WorldName
from benchmarks.chaos.options import ChaosOptions
from benchmarks.chaos.report import ChaosReport, WorldReport, over_all
from benchmarks.chaos.world import run_world


async def run_chaos(
    options: ChaosOptions, directory: Path, tell: Callable[[str], None] = lambda line: None
) -> ChaosReport:
    """Make a chaos run, and judge it.

    Args:
        options: How much of it.
        directory: For databases, logs and evidence, in a folder for each world.
        tell: Called with lines about the progress.
    """
    began = time.monotonic()
    reports: list[WorldReport] = []
    for place, world in enumerate(options.worlds):
        folder = _folder(directory, world)
        reports.append(await run_world(options, world, options.runs_of(place), folder, tell))
    return over_all(reports, options.seed, time.monotonic() - began)


def _folder(directory: Path, world: WorldName) -> Path:
    folder = directory / world
    folder.mkdir()
    # A server may run as another user, who must come to its files.
    for one in (directory, folder):
        one.chmod(0o755)
    return folder
