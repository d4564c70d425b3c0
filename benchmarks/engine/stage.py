"""What a measurement needs: one dev server, and worker processes on it."""

import asyncio
import itertools
import sys
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import psutil
from temporalio.client import Client

from agentflow.adapters.dev_server import DevServer
from agentflow.adapters.process import LocalProcess
from agentflow.adapters.stores import open_external_storage
from agentflow.contracts.names import SEARCH_ATTRIBUTES
from agentflow.plugin import AgentflowPlugin
from benchmarks.engine.arms import ARMS

_START_TIMEOUT = timedelta(seconds=120)
"""Of a worker: a dozen of them start at once, and take 2 s of a core each."""


@dataclass(frozen=True)
class WorkerProcess:
    """A worker, as it is stopped and as it is measured."""

    local: LocalProcess
    process: psutil.Process


@dataclass
class Stage:
    """A dev server, and the workers on it. The workers of an arm share a directory."""

    client: Client
    address: str
    server: psutil.Process
    directory: Path
    stack: AsyncExitStack
    workers: dict[str, list[WorkerProcess]] = field(default_factory=dict[str, list[WorkerProcess]])
    """By arm: those that run now."""
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def directory_of(self, arm: str) -> Path:
        """Where an arm's workers keep their ledger, blobs, external storage and logs."""
        return self.directory / arm

    async def client_of(self, arm: str) -> Client:
        """The client that starts an arm's runs: on agentflow it reads from the workers' external storage."""
        if not ARMS[arm].is_guarded:
            return self.client
        storage = open_external_storage(str(self.directory_of(arm) / "values"))
        return await Client.connect(self.address, plugins=[AgentflowPlugin(external_storage=storage)])

    async def add_workers(self, counts: Mapping[str, int]) -> None:
        """Start so many more workers for each arm, all at once."""
        async with asyncio.TaskGroup() as group:
            for arm, count in counts.items():
                for _ in range(count):
                    group.create_task(self._add_worker(arm))

    async def stop_workers(self, arm: str) -> int:
        """Stop an arm's workers with SIGTERM, and answer how many there were."""
        stopped = self.workers.pop(arm)
        await asyncio.gather(*(worker.local.stop() for worker in stopped))
        return len(stopped)

    async def _add_worker(self, arm: str) -> None:
        number, folder = next(self.numbers), self.directory_of(arm)
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        pid_file = folder / f"worker-{number}.pid"

        async def is_ready() -> bool:
            return await asyncio.to_thread(pid_file.exists)

        module = [sys.executable, "-m", "benchmarks.engine.worker"]
        process = LocalProcess(
            f"engine-{arm}",
            [*module, arm, self.address, str(folder), str(pid_file)],
            ready=is_ready,
            timeout=_START_TIMEOUT,
            log_path=folder / f"worker-{number}.log",
        )
        await self.stack.enter_async_context(process)
        pid = int(await asyncio.to_thread(pid_file.read_text))
        self.workers.setdefault(arm, []).append(WorkerProcess(process, psutil.Process(pid)))


@asynccontextmanager
async def on_stage(directory: Path, arms: Mapping[str, int]) -> AsyncGenerator[Stage]:
    """Start a dev server, and as many workers for each arm as asked for."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(DevServer(ui=False, search_attributes=SEARCH_ATTRIBUTES))
        client = await Client.connect(server.address)
        stage = Stage(client, server.address, _process_at(server.address), directory, stack)
        await stage.add_workers(arms)
        yield stage


def _process_at(address: str) -> psutil.Process:
    """The dev server's own process, below the supervisor that started it."""
    port = address.rpartition(":")[2]
    for process in psutil.Process().children(recursive=True):
        command = process.cmdline()
        if command and command[0].endswith("temporal") and port in command:
            return process
    raise RuntimeError(f"no dev server at {address}")
