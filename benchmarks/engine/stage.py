"""What a measurement needs: one dev server, and worker processes on it."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from temporalio.client import Client

from agentflow.adapters.dev_server import DevServer
from agentflow.adapters.process import LocalProcess
from agentflow.contracts.names import SEARCH_ATTRIBUTES

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Stage:
    """A server, and workers for each arm."""

    client: Client
    server: psutil.Process
    workers: Mapping[str, list[psutil.Process]]


@asynccontextmanager
async def on_stage(directory: Path, arms: Mapping[str, int]) -> AsyncGenerator[Stage]:
    """Start a dev server, and as many workers for each arm as asked for."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(DevServer(ui=False, search_attributes=SEARCH_ATTRIBUTES))
        workers: dict[str, list[psutil.Process]] = {}
        for arm, count in arms.items():
            workers[arm] = [
                await _worker(stack, arm, number, server.address, directory / arm) for number in range(count)
            ]
        yield Stage(await Client.connect(server.address), _process_at(server.address), workers)


def _process_at(address: str) -> psutil.Process:
    """The dev server's own process, below the supervisor that started it."""
    port = address.rpartition(":")[2]
    for process in psutil.Process().children(recursive=True):
        command = process.cmdline()
        if command and command[0].endswith("temporal") and port in command:
            return process
    raise RuntimeError(f"no dev server at {address}")


async def _worker(
    stack: AsyncExitStack, arm: str, number: int, address: str, directory: Path
) -> psutil.Process:
    directory.mkdir(parents=True, exist_ok=True)
    pid_file = directory / f"worker-{number}.pid"

    async def is_ready() -> bool:
        return await asyncio.to_thread(pid_file.exists)

    command = [sys.executable, "-m", "benchmarks.engine.worker", arm, address, str(directory), str(pid_file)]
    await stack.enter_async_context(LocalProcess(f"{arm}-{number}", command, ready=is_ready))
    return psutil.Process(int(pid_file.read_text()))
