"""One arm's runs, and what they took."""

import asyncio
import statistics
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any
from uuid import uuid4

import psutil
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHandle

from benchmarks.engine.arms import ARMS
from benchmarks.engine.script import Job
from benchmarks.engine.stage import Stage

_CHATS = ("naive_chat", "minimal_chat", "chat")
_HISTORIES = 5
"""How many runs' histories are read for each round: they are alike."""


@dataclass(frozen=True)
class Round:
    """What one round of an arm came to."""

    steps_s: float
    """Steps a second, over all runs."""
    cpu_ms: float
    """Worker CPU for one step, in ms."""
    server_cpu_ms: float
    """The dev server's CPU for one step, in ms."""
    history_kb: float
    """Of one run, as the server counts it, over all executions of its chain; 1 kB is 1,000 bytes."""
    events: float
    workflow_tasks: float
    executions: float
    turn_p50_ms: float
    """From one model call's scheduling to the next one's."""
    turn_p99_ms: float
    peak_rss_mb: float
    """The most memory that the arm's workers had at once, together."""


async def measure(stage: Stage, arm: str, *, turns: int, runs: int, concurrency: int) -> Round:
    """Start an arm's runs, ``concurrency`` at a time, and wait for them all."""
    job, gate = Job(turns), asyncio.Semaphore(concurrency)
    workers = [worker.process for worker in stage.workers[arm]]
    client = await stage.client_of(arm)

    async def one() -> WorkflowHandle[Any, Any]:
        async with gate:
            handle = await start(client, arm, job)
            await handle.result()
            return handle

    async with _peak_of(workers) as peak:
        cpu, server_cpu = _cpu_seconds(workers), _cpu_seconds([stage.server])
        began = time.perf_counter()
        handles = await asyncio.gather(*(one() for _ in range(runs)))
        seconds = time.perf_counter() - began
        cpu, server_cpu = _cpu_seconds(workers) - cpu, _cpu_seconds([stage.server]) - server_cpu
    histories = [await read_history(stage, handle) for handle in handles[:_HISTORIES]]
    gaps = sorted(gap for history in histories for gap in history.turn_ms) or [0.0]
    steps = runs * job.steps
    return Round(
        steps_s=steps / seconds,
        cpu_ms=1_000 * cpu / steps,
        server_cpu_ms=1_000 * server_cpu / steps,
        history_kb=statistics.median(history.kb for history in histories),
        events=statistics.median(history.events for history in histories),
        workflow_tasks=statistics.median(history.workflow_tasks for history in histories),
        executions=statistics.median(history.executions for history in histories),
        turn_p50_ms=gaps[len(gaps) // 2],
        turn_p99_ms=gaps[min(len(gaps) - 1, int(len(gaps) * 0.99))],
        peak_rss_mb=peak[0] / 1e6,
    )


async def start(client: Client, arm: str, job: Job) -> WorkflowHandle[Any, Any]:
    """Start one run."""
    made = ARMS[arm]
    name, argument = made.workflow.__name__, made.argument(job)
    return await client.start_workflow(name, argument, id=f"{arm}-{uuid4()}", task_queue=arm)


@dataclass(frozen=True)
class History:
    """What the executions of a run's chain came to, together."""

    kb: float
    events: int
    workflow_tasks: int
    executions: int
    turn_ms: list[float]


async def read_history(stage: Stage, handle: WorkflowHandle[Any, Any]) -> History:
    """Read the history of a run."""
    kb, events, tasks, executions, chats = 0.0, 0, 0, 0, list[datetime]()
    run_id = handle.first_execution_run_id or handle.result_run_id
    while run_id:
        execution = stage.client.get_workflow_handle(handle.id, run_id=run_id)
        described = await execution.describe()
        kb += described.raw_description.workflow_execution_info.history_size_bytes / 1_000
        executions, run_id = executions + 1, None
        async for event in execution.fetch_history_events():
            events += 1
            tasks += event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
            if event.activity_task_scheduled_event_attributes.activity_type.name in _CHATS:
                chats.append(event.event_time.ToDatetime())
            continued = event.workflow_execution_continued_as_new_event_attributes
            run_id = continued.new_execution_run_id or run_id
    gaps = [(later - earlier).total_seconds() * 1_000 for earlier, later in pairwise(chats)]
    return History(kb, events, tasks, executions, gaps)


@asynccontextmanager
async def _peak_of(workers: Sequence[psutil.Process]) -> AsyncGenerator[list[float]]:
    """The most memory that processes have at once while the block runs, in bytes."""
    peak = [0.0]

    async def watch() -> None:
        while True:
            peak[0] = max(peak[0], sum(worker.memory_info().rss for worker in workers))
            await asyncio.sleep(0.2)

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    try:
        yield peak
    finally:
        watching.cancel()


def _cpu_seconds(processes: Sequence[psutil.Process]) -> float:
    times = [process.cpu_times() for process in processes]
    return sum(spent.user + spent.system for spent in times)
