"""Which runs an export is of, and their histories, read ahead of whoever works them up."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass

from temporalio.client import Client, WorkflowHistory
from temporalio.service import RPCError, RPCStatusCode

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


async def from_server(
    client: Client, runs: Iterable[RunId], *, children: bool = False
) -> AsyncIterator[SelectedRun]:
    """Runs as the server has them, in the order in which they are given, each before its children.

    A run that something else names and that the server no longer has comes without a history.

    Args:
        client: Of the server.
        runs: Their ids.
        children: Whether the runs that they started come as well.

    Raises:
        temporalio.service.RPCError: there is no run of a workflow id that came without a run id, or the
            server can't be reached.
    """
    names, started = iter(runs), deque[RunId]()
    reading: deque[tuple[str, asyncio.Task[list[Execution]]]] = deque()

    def read_on() -> None:
        name = started.popleft() if started else next(names, None)
        if name is not None:
            reading.append((name[0], asyncio.create_task(_executions(client, *name))))

    try:
        for _ in range(AHEAD):
            read_on()
        while reading:
            name, task = reading.popleft()
            executions = await task
            if children:
                started.extend(_started_by(executions))
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


async def _executions(client: Client, workflow_id: str, run_id: str | None) -> list[Execution]:
    try:
        return await Histories(client).of(workflow_id, run_id)
    except RPCError as error:
        if run_id is None or error.status is not RPCStatusCode.NOT_FOUND:
            raise
        # It was there when somebody wrote its id down.
        return [Execution(run_id, None)]


def _started_by(executions: Sequence[Execution]) -> Iterator[RunId]:
    for execution in executions:
        for event in execution.history.events if execution.history else ():
            if event.HasField("child_workflow_execution_started_event_attributes"):
                child = event.child_workflow_execution_started_event_attributes.workflow_execution
                yield child.workflow_id, child.run_id
