"""One change, deployed in one way under runs in each state."""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from temporalio.runtime import Runtime

from agentflow.adapters.memory_blobs import MemoryBlobStore
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from benchmarks.deploys.agent import base, deployed
from benchmarks.deploys.changes import Change
from benchmarks.deploys.course import PATIENCE, Course
from benchmarks.deploys.fleet import Fleet
from benchmarks.deploys.model import Clerks
from benchmarks.deploys.outside import Outside
from benchmarks.deploys.states import State
from benchmarks.deploys.verdict import Cell, Deployment, judged


async def deploy(
    stage: tuple[str, Runtime],
    change: Change,
    mode: str,
    states: Sequence[State],
    *,
    patience: float = PATIENCE,
) -> list[Cell]:
    """Deploy a change under a run in each of the states, and judge what came of them.

    Args:
        stage: The server's address, and the runtime of what is connected to it.
        change: What is deployed.
        mode: How.
        states: One run is brought to each.
        patience: Seconds in which each leg of a run is done, or it is stuck.
    """
    began = time.monotonic()
    outside = Outside()
    model, parts = Clerks(outside), base(outside)
    old, new = deployed(parts), deployed(change.edit(parts, outside))
    queue = f"{change.name}/{mode}/{uuid4()}".replace(" ", "-")
    with tempfile.TemporaryDirectory(prefix="agentflow-deploys-") as directory:
        ledger = SQLiteLedger(Path(directory) / "ledger.sqlite")
        blobs = None if mode == "rolled back" else MemoryBlobStore()
        fleet = Fleet(*stage, queue, model, ledger, blobs)
        courses = [
            Course(state, f"{queue}/{state.name}".replace(" ", "-"), outside, lambda: fleet.agents, patience)
            for state in states
        ]
        try:
            await fleet.start("old", old)
            is_back = mode == "rolled back"
            await asyncio.gather(*(course.begin(queue, stops_in_the_middle=is_back) for course in courses))
            is_both = mode == "together"
            if not is_both:
                await fleet.stop("old")
            await fleet.start("new", new)
            for course in courses:
                course.let_go = fleet.let_go if is_both else None
            await asyncio.gather(*(course.rebuild() for course in courses))
            await asyncio.gather(*(course.go_on() for course in courses))
            if is_back:
                await fleet.stop("new")
                await fleet.start("old", old)
            if mode != "new only":
                await asyncio.gather(*(course.rebuild() for course in courses if not course.is_over))
                await asyncio.gather(*(course.finish() for course in courses))
            client = fleet.agents.temporal
            cells = [
                await judged(
                    Deployment(change, mode, old, new, stage[1]), course, model.told[course.id], client
                )
                for course in courses
            ]
            # A run that is stuck would keep the server busy for the rest of the matrix.
            await asyncio.gather(*(course.handle.terminate() for course in courses if course.is_stuck))
        finally:
            await fleet.stop_all()
            await ledger.close()
    for cell in cells:
        cell.seconds = time.monotonic() - began
    return cells
