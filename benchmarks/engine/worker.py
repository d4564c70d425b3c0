"""One worker process: ``python -m benchmarks.engine.worker ARM ADDRESS DIRECTORY PID_FILE``."""

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

from temporalio.client import Client
from temporalio.worker import Worker

from agentflow.adapters.stores import open_blobs, open_external_storage
from agentflow.telemetry.logs import configure_logs
from agentflow.testing import scripted_plugin
from benchmarks.engine.arms import ARMS
from benchmarks.engine.by_hand import ACTIVITIES
from benchmarks.engine.model import RecordReader


async def serve(arm: str, address: str, directory: Path, pid_file: Path) -> None:
    """Serve the arm's task queue until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with await make_worker(arm, address, directory):
        await asyncio.to_thread(pid_file.write_text, f"{os.getpid()}\n")
        await stop.wait()


async def make_worker(name: str, address: str, directory: Path) -> Worker:
    """The worker of an arm, on a task queue of the arm's name, with the SDK's default settings."""
    arm = ARMS[name]
    if not arm.is_guarded:
        client = await Client.connect(address)
        return Worker(client, task_queue=name, workflows=[arm.workflow], activities=ACTIVITIES)
    plugin = scripted_plugin(
        RecordReader(),
        tools=arm.tools,
        directory=directory,
        blobs=open_blobs(str(directory / "blobs")),
        external_storage=open_external_storage(str(directory / "values")),
    )
    client = await Client.connect(address, plugins=[plugin])
    return Worker(client, task_queue=name, workflows=[arm.workflow])


if __name__ == "__main__":
    configure_logs(level=logging.INFO)
    asyncio.run(serve(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])))
