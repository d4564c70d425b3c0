"""What a measurement needs: one dev server, and worker processes on it."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from temporalio.client import Client

from agentflow.adapters.dev_server import DevServer
from agentflow.adapters.process import LocalProcess
from agentflow.adapters.stores import open_external_storage
from agentflow.contracts.names import SEARCH_ATTRIBUTES
from agentflow.plugin import AgentflowPlugin
from benchmarks.engine.arms import ARMS


@dataclass
class Stage:
    """A dev server, and the workers on it. The workers of an arm share a directory."""

    client: Client
    address: str
    server: psutil.Process
    directory: Path
    stack: AsyncExitStack
    settings: Mapping[str, Any]
    """What the workers are told besides: arguments of ``Worker``, and ``model_seconds``."""
    workers: dict[str, list["WorkerProcess"]] = field(default_factory=dict[str, list["WorkerProcess"]])

    async def client_of(self, arm: str) -> Client:
        """The client that starts an arm's runs: on agentflow it reads from the workers' external storage."""
        if not ARMS[arm].is_guarded:
            return self.client
        storage = open_external_storage(str(self.directory / arm / "values"))
        return await Client.connect(self.address, plugins=[AgentflowPlugin(external_storage=storage)])

    async def add_worker(self, arm: str) -> None:
        """Start one more worker for an arm."""
        folder = self.directory / arm
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        pid_file = folder / f"worker-{len(self.workers.get(arm, ()))}.pid"
        await asyncio.to_thread(pid_file.unlink, missing_ok=True)

        async def is_ready() -> bool:
            # The file appears before what is in it.
            return await asyncio.to_thread(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"))

        command = [
            sys.executable,
            "-m",
            "benchmarks.engine.worker",
            arm,
            self.address,
            str(folder),
            str(pid_file),
            json.dumps(dict(self.settings)),
        ]
        process = LocalProcess(f"engine-{arm}", command, ready=is_ready)
        await self.stack.enter_async_context(process)
        pid = int(await asyncio.to_thread(pid_file.read_text))
        self.workers.setdefault(arm, []).append(WorkerProcess(process, psutil.Process(pid)))

    async def replace_workers(self, arm: str) -> None:
        """Stop an arm's workers, and start as many that know nothing."""
        old = self.workers.pop(arm)
        await asyncio.gather(*(worker.local.stop() for worker in old))
        for _ in old:
            await self.add_worker(arm)


@dataclass(frozen=True)
class WorkerProcess:
    """A worker, as it is stopped and as it is measured."""

    local: LocalProcess
    process: psutil.Process


@asynccontextmanager
async def on_stage(
    directory: Path, arms: Mapping[str, int], settings: Mapping[str, Any] | None = None
) -> AsyncGenerator[Stage]:
    """Start a dev server, and as many workers for each arm as asked for."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(DevServer(ui=False, search_attributes=SEARCH_ATTRIBUTES))
        client = await Client.connect(server.address)
        stage = Stage(client, server.address, _process_at(server.address), directory, stack, settings or {})
        for arm, count in arms.items():
            for _ in range(count):
                await stage.add_worker(arm)
        yield stage


def _process_at(address: str) -> psutil.Process:
    """The dev server's own process, below the supervisor that started it."""
    port = address.rpartition(":")[2]
    for process in psutil.Process().children(recursive=True):
        command = process.cmdline()
        if command and command[0].endswith("temporal") and port in command:
            return process
    raise RuntimeError(f"no dev server at {address}")
