"""Which runs an export is of, and their histories, read ahead of whoever works them up."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass

from temporalio.client import Client, WorkflowHistory

from agentflow.adapters.history.executions import Execution, Histories, runs_in

AHEAD = 8
"""Runs whose histories are read while another is worked up."""

RunId = tuple[str, str | None]
"""Workflow id, and the run id of its last execution; ``None`` is the latest run of that workflow id."""


@dataclass(frozen=True)
class SelectedRun:
    """A run to be exported."""

    workflow_id: str
    executions: Sequence[Execution]
    """The first one first."""


async def from_server(client: Client, runs: Iterable[RunId]) -> AsyncIterator[SelectedRun]:
    """Runs as the server has them, in the order in which they are given.

    Raises:
        temporalio.service.RPCError: there is no such run, or the server can't be reached.
    """
    names = iter(runs)
    reading: deque[tuple[str, asyncio.Task[list[Execution]]]] = deque()

    def read_on() -> None:
        if (name := next(names, None)) is not None:
            reading.append((name[0], asyncio.create_task(Histories(client).of(*name))))

    try:
        for _ in range(AHEAD):
            read_on()
        while reading:
            name, task = reading.popleft()
            executions = await task
            read_on()
            yield SelectedRun(name, executions)
    finally:
        for _, task in reading:
            task.cancel()
        await asyncio.gather(*(task for _, task in reading), return_exceptions=True)


async def from_histories(histories: Iterable[WorkflowHistory]) -> AsyncIterator[SelectedRun]:
    """Runs whose histories are in files."""
    for name, executions in runs_in(histories).items():
        yield SelectedRun(name, executions)
