"""One arm's runs, and what they took."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Sequence
from typing import Any, NoReturn, TypeVar
from uuid import uuid4

import psutil
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle

from benchmarks.engine.arms import ARMS
from benchmarks.engine.figures import Round, percentile
from benchmarks.engine.history import read_history
from benchmarks.engine.script import Job
from benchmarks.engine.stage import Stage

_HISTORIES_AT_MOST = 20
"""The runs of a round are alike, and a naive run's history may have 50 MB."""
_LOOK_SECONDS = 0.1

T = TypeVar("T")
Handle = WorkflowHandle[Any, Any]


class RunFailedError(Exception):
    """A run did not end with the model's answer: there is nothing to measure."""

    def __init__(self, handle: Handle, why: str) -> None:
        super().__init__(f"{handle.id} did not finish: {why}")
        self.handle = handle
        self.why = why


async def measure(stage: Stage, arm: str, *, turns: int, runs: int, concurrency: int) -> Round:
    """Start an arm's runs, ``concurrency`` at a time, and wait for them all.

    Raises:
        RunFailedError: a run failed, or ended otherwise than asked for.
        psutil.NoSuchProcess: a worker died.
    """
    job, gate = Job(turns), asyncio.Semaphore(concurrency)
    workers = [worker.process for worker in stage.workers[arm]]
    client = await stage.client_of(arm)

    async def one() -> Handle:
        async with gate:
            handle = await start(client, arm, job)
            await finish(handle, arm)
            return handle

    memory = _Memory(workers)
    cpu, server_cpu = _cpu_seconds(workers), _cpu_seconds([stage.server])
    began = time.perf_counter()
    handles = await _watched(asyncio.gather(*(one() for _ in range(runs))), memory)
    seconds = time.perf_counter() - began
    cpu, server_cpu = _cpu_seconds(workers) - cpu, _cpu_seconds([stage.server]) - server_cpu

    histories = [
        await read_history(client, handle.id, handle.first_execution_run_id)
        for handle in handles[:_HISTORIES_AT_MOST]
    ]
    turn_ms = [taken for history in histories for taken in history.turn_ms]
    steps = runs * job.steps
    return Round(
        steps_s=steps / seconds,
        cpu_ms_per_step=1_000 * cpu / steps,
        server_cpu_ms_per_step=1_000 * server_cpu / steps,
        history_kb=statistics.median(history.kb for history in histories),
        history_events=statistics.median(history.events for history in histories),
        workflow_tasks=statistics.median(history.workflow_tasks for history in histories),
        executions=statistics.median(history.executions for history in histories),
        turn_p50_ms=percentile(turn_ms, 0.5),
        turn_p99_ms=percentile(turn_ms, 0.99),
        peak_rss_mb=memory.peak_mb,
    )


async def start(client: Client, arm: str, job: Job) -> Handle:
    """Start one run."""
    made = ARMS[arm]
    name, argument = made.workflow.__name__, made.argument(job)
    return await client.start_workflow(name, argument, id=f"{arm}-{uuid4()}", task_queue=arm)


async def finish(handle: Handle, arm: str) -> None:
    """Wait for the end of a run.

    Raises:
        RunFailedError: it failed, or ended otherwise than with the model's answer.
    """
    try:
        result = await handle.result()
    except WorkflowFailureError as error:
        raise RunFailedError(handle, str(error.cause)) from error
    if not ARMS[arm].is_done(result):
        raise RunFailedError(handle, str(result)[:500])


def rss_mb(processes: Sequence[psutil.Process]) -> float:
    """The memory that processes have now, together, in MB."""
    return sum(process.memory_info().rss for process in processes) / 1e6


class _Memory:
    """The most memory that processes had at once, as far as was looked."""

    def __init__(self, processes: Sequence[psutil.Process]) -> None:
        self.peak_mb = 0.0
        self._processes = processes
        self.look()

    def look(self) -> None:
        self.peak_mb = max(self.peak_mb, rss_mb(self._processes))

    async def watch(self) -> NoReturn:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self.look()


async def _watched(work: Awaitable[T], memory: _Memory) -> T:
    """Do the work while memory is looked at. Runs without a worker would be waited for without end."""
    working, watching = asyncio.ensure_future(work), asyncio.create_task(memory.watch())
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if watching.done():
            watching.result()
        memory.look()
        return working.result()
    finally:
        working.cancel()
        watching.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


def _cpu_seconds(processes: Sequence[psutil.Process]) -> float:
    times = [process.cpu_times() for process in processes]
    return sum(spent.user + spent.system for spent in times)
