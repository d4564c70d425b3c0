"""One arm's runs, and what they took."""

import asyncio
import statistics
import time
from dataclasses import dataclass
from datetime import datetime

import psutil
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHandle

from agentflow.contracts.task import AgentTask
from benchmarks.engine.script import Job
from benchmarks.engine.stage import Stage

WORKFLOW_TYPES = {
    "naive": "Naive",
    "minimal": "Minimal",
    "minimal_local": "MinimalLocal",
    "agentflow": "Guarded",
    "agentflow_local": "GuardedLocal",
}
_CHATS = ("naive_chat", "minimal_chat", "chat")


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
    """Of one run, as the server counts it; 1 kB is 1,000 bytes."""
    events: int
    workflow_tasks: int
    turn_p50_ms: float
    """From one model call's scheduling to the next one's."""
    turn_p99_ms: float
    rss_mb: float
    """Of the worker processes, at the round's end."""


async def measure(stage: Stage, arm: str, *, turns: int, runs: int, concurrency: int) -> Round:
    """Start an arm's runs, ``concurrency`` at a time, and wait for them all."""
    job, gate = Job(turns), asyncio.Semaphore(concurrency)
    client, workers = stage.client, stage.workers[arm]

    async def one(number: int) -> WorkflowHandle[object, object]:
        async with gate:
            handle = await _start(client, arm, job, f"{arm}-{turns}-{time.time_ns()}-{number}")
            await handle.result()
            return handle

    cpu, server_cpu, began = _cpu_seconds(workers), _cpu_seconds([stage.server]), time.perf_counter()
    handles = await asyncio.gather(*(one(number) for number in range(runs)))
    seconds, cpu = time.perf_counter() - began, _cpu_seconds(workers) - cpu
    server_cpu = _cpu_seconds([stage.server]) - server_cpu
    rss = sum(worker.memory_info().rss for worker in workers) / 1e6
    histories = [await _read(handle) for handle in handles[:5]]
    gaps = sorted(gap for history in histories for gap in history.turn_ms)
    return Round(
        steps_s=runs * job.steps / seconds,
        cpu_ms=1_000 * cpu / (runs * job.steps),
        server_cpu_ms=1_000 * server_cpu / (runs * job.steps),
        history_kb=statistics.median(history.kb for history in histories),
        events=int(statistics.median(history.events for history in histories)),
        workflow_tasks=int(statistics.median(history.workflow_tasks for history in histories)),
        turn_p50_ms=gaps[len(gaps) // 2],
        turn_p99_ms=gaps[min(len(gaps) - 1, int(len(gaps) * 0.99))],
        rss_mb=rss,
    )


@dataclass(frozen=True)
class _History:
    kb: float
    events: int
    workflow_tasks: int
    turn_ms: list[float]


async def _start(client: Client, arm: str, job: Job, workflow_id: str) -> WorkflowHandle[object, object]:
    guarded = arm.startswith("agentflow")
    task = (
        AgentTask(input=job.text, requested_by="benchmark").model_dump(mode="json") if guarded else job.turns
    )
    return await client.start_workflow(WORKFLOW_TYPES[arm], task, id=workflow_id, task_queue=arm)


async def _read(handle: WorkflowHandle[object, object]) -> _History:
    """The history of a run: all executions of its chain together."""
    kb, events, tasks, chats = 0.0, 0, 0, list[datetime]()
    run_id: str | None = handle.first_execution_run_id
    while run_id:
        execution = handle._client.get_workflow_handle(handle.id, run_id=run_id)
        kb += (await execution.describe()).raw_description.workflow_execution_info.history_size_bytes / 1_000
        run_id = None
        async for event in execution.fetch_history_events():
            events += 1
            tasks += event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
            if event.activity_task_scheduled_event_attributes.activity_type.name in _CHATS:
                chats.append(event.event_time.ToDatetime())
            run_id = run_id or (
                event.workflow_execution_continued_as_new_event_attributes.new_execution_run_id or None
            )
    gaps = [
        (later - earlier).total_seconds() * 1_000 for earlier, later in zip(chats, chats[1:], strict=False)
    ]
    return _History(kb, events, tasks, gaps)


def _cpu_seconds(workers: list[psutil.Process]) -> float:
    times = [worker.cpu_times() for worker in workers]
    return sum(spent.user + spent.system for spent in times)
