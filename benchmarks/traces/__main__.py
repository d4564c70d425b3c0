"""Traces of many runs while workers are killed, through a receiver of OTLP; and what tracing costs.

``python -m benchmarks.traces --runs 500``. Workers are killed with SIGKILL at random moments and replaced;
each run's spans are then held against its history. Beside it, what a step takes with spans through the spool,
in batches from memory, and without any.
"""

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from temporalio.client import Client

from agentflow import AgentClient, AgentflowPlugin, AgentTask
from agentflow.adapters.dev_server import DevServer
from agentflow.contracts.names import SEARCH_ATTRIBUTES
from agentflow.telemetry import semconv
from benchmarks.command_line import add_json, machine, print_report
from benchmarks.traces.agent import Bookkeeper
from benchmarks.traces.receiver import Received, Receiver
from benchmarks.traces.verdict import judge

WORKERS = 2
AT_ONCE = 25
STEPS = 5
"""Of a run: three model calls, a read and a write."""


class Fleet:
    """Worker processes on one task queue."""

    def __init__(self, address: str, directory: Path, endpoint: str, tracing: str) -> None:
        self.queue = f"traces-{uuid4()}"
        self._command = [sys.executable, "-m", "benchmarks.traces.worker", address, self.queue]
        self._command += [str(directory), tracing]
        self._env = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
        self._working: list[asyncio.subprocess.Process] = []
        self.kills = 0

    async def start(self, count: int) -> None:
        """Start so many."""
        for _ in range(count):
            process = await asyncio.create_subprocess_exec(
                *self._command, env=self._env, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
            )
            self._working.append(process)

    async def kill_now_and_then(self, chance: random.Random) -> None:
        """Kill one after the other, and start others.

        Each serves for a while first: where one takes longer to start than to be killed, no run would end.
        """
        while True:
            victim = self._working[0]
            await _until_it_serves(victim)
            await asyncio.sleep(chance.uniform(1.0, 3.0))
            self._working.remove(victim)
            victim.kill()
            await victim.wait()
            self.kills += 1
            await self.start(1)

    async def stop(self) -> None:
        """Let them end what they do, and send what they have."""
        for process in self._working:
            if process.stdin:
                process.stdin.close()
        await asyncio.gather(*(process.wait() for process in self._working))


async def _until_it_serves(worker: asyncio.subprocess.Process) -> None:
    if worker.stdout is None or not await worker.stdout.readline():
        raise RuntimeError(f"a worker ended before it served (exit code {await worker.wait()})")


async def run_all(agents: AgentClient, queue: str, runs: int) -> tuple[list[str], float]:
    """Start runs, so many at once, and wait for all; their ids, and how long it took."""
    free = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> str:
        async with free:
            task = AgentTask(input=f"book {number}", requested_by="ops")
            run = await agents.start(Bookkeeper, task, task_queue=queue)
            outcome = await agents.result(run, str)
            assert outcome.status == "completed", outcome.reason
            return run

    began = time.perf_counter()
    ids = await asyncio.gather(*(one(number) for number in range(runs)))
    return list(ids), time.perf_counter() - began


@asynccontextmanager
async def stage() -> AsyncIterator[tuple[AgentClient, str, Path]]:
    """A server and a directory that workers share."""
    async with DevServer(ui=False, search_attributes=SEARCH_ATTRIBUTES) as server:
        client = await Client.connect(server.address, plugins=[AgentflowPlugin()])
        with tempfile.TemporaryDirectory() as directory:
            place = Path(directory)
            (place / "books").mkdir()
            yield AgentClient(client), server.address, place


async def completeness(runs: int, seed: int, tracing: str) -> dict[str, float]:
    """Traces while workers are killed."""
    async with stage() as (agents, address, place):
        with Receiver() as receiver:
            fleet = Fleet(address, place, receiver.endpoint, tracing)
            await fleet.start(WORKERS)
            async with asyncio.TaskGroup() as group:
                killing = group.create_task(fleet.kill_now_and_then(random.Random(seed)))
                ids, took = await run_all(agents, fleet.queue, runs)
                killing.cancel()
            await fleet.stop()
            by_run: dict[object, list[Received]] = defaultdict(list)
            for span in receiver.spans:
                by_run[span.attributes.get(semconv.CONVERSATION_ID)].append(span)
            verdicts = [
                judge(
                    await agents.temporal.get_workflow_handle(run).fetch_history(),
                    by_run[run],
                )
                for run in ids
            ]
            missing = [verdict.missing for verdict in verdicts if verdict.missing]
            return {
                "runs": runs,
                "kills": fleet.kills,
                "spans": len({span.id for span in receiver.spans}),
                "complete_share": round(1 - len(missing) / runs, 4),
                "duplicate_spans": sum(verdict.duplicates for verdict in verdicts),
                "resent_spans": sum(verdict.resent for verdict in verdicts),
                "seconds": round(took, 1),
            }


async def cost(runs: int, rounds: int) -> dict[str, float]:
    """What a step takes with spans and without, one worker, the same work."""
    took: dict[str, list[float]] = defaultdict(list)
    async with stage() as (agents, address, place):
        with Receiver(keeps=False) as receiver:
            for number in range(rounds):
                for tracing in random.Random(number).sample(("off", "spool", "batch"), 3):
                    fleet = Fleet(address, place, receiver.endpoint, tracing)
                    await fleet.start(1)
                    await run_all(agents, fleet.queue, 5)
                    _, seconds = await run_all(agents, fleet.queue, runs)
                    took[tracing].append(seconds / (runs * STEPS) * 1_000)
                    await fleet.stop()
    step = {tracing: statistics.median(each) for tracing, each in took.items()}
    return {
        **{f"step_ms_{tracing}": round(value, 2) for tracing, value in step.items()},
        "cost_share": _dearer(took["spool"], took["off"]),
        "cost_share_batch": _dearer(took["batch"], took["off"]),
    }


def _dearer(with_spans: list[float], without: list[float]) -> float:
    """By which share, in the median of the rounds: what slows the machine down slows both down in a round."""
    pairs = zip(with_spans, without, strict=True)
    return round(statistics.median(one / other for one, other in pairs) - 1, 3)


def main() -> int:
    """Measure, print the figures, and answer the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.traces", description=__doc__)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5, help="of what tracing costs; 0 leaves it out")
    parser.add_argument("--cost-runs", type=int, default=100, help="in each round")
    parser.add_argument("--seed", type=int, default=1)
    add_json(parser)
    given = parser.parse_args()
    report = asyncio.run(completeness(given.runs, given.seed, "spool"))
    if given.rounds:
        # The same with spans that wait in memory: what the spool is for.
        in_memory = asyncio.run(completeness(given.runs, given.seed, "batch"))
        report["complete_share_batch"] = in_memory["complete_share"]
        report |= asyncio.run(cost(given.cost_runs, given.rounds))
    print_report({**report, **machine()}, as_json=given.json)
    return 0 if report["complete_share"] == 1 and report["duplicate_spans"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
