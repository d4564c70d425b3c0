"""One worker process: ``python -m benchmarks.engine.worker ARM ADDRESS DIRECTORY PID_FILE SETTINGS``."""

import asyncio
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

from temporalio.client import Client
from temporalio.worker import Worker

from agentflow.adapters.stores import open_blobs, open_external_storage
from agentflow.telemetry.logs import configure_logs
from agentflow.testing import scripted_plugin
from benchmarks.engine.arms import ARMS
from benchmarks.engine.by_hand import ACTIVITIES
from benchmarks.engine.model import RecordReader


async def serve(arm: str, address: str, directory: Path, pid_file: Path, settings: dict[str, Any]) -> None:
    """Serve the arm's task queue until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with await make_worker(arm, address, directory, **settings):
        await asyncio.to_thread(pid_file.write_text, f"{os.getpid()}\n")
        await stop.wait()


async def make_worker(
    name: str, address: str, directory: Path, *, model_seconds: float = 0, **settings: Any
) -> Worker:
    """The worker of an arm, on a task queue of the arm's name.

    Args:
        name: The arm's.
        address: Of the server.
        directory: For what the workers of an arm share.
        model_seconds: How long a model of an agent on agentflow takes.
        settings: More arguments of ``Worker``, whose defaults it has otherwise, or the plugin's.
    """
    arm = ARMS[name]
    if not arm.is_guarded:
        client = await Client.connect(address)
        return Worker(client, task_queue=name, workflows=[arm.workflow], activities=ACTIVITIES, **settings)
    plugin = scripted_plugin(
        RecordReader(model_seconds),
        tools=arm.tools,
        directory=directory,
        blobs=open_blobs(str(directory / "blobs")),
        external_storage=open_external_storage(str(directory / "values")),
    )
    client = await Client.connect(address, plugins=[plugin])
    return Worker(client, task_queue=name, workflows=[arm.workflow], **settings)


if __name__ == "__main__":
    configure_logs(level=logging.INFO)
    asyncio.run(
        serve(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]), json.loads(sys.argv[5]))
    )
