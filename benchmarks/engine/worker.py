"""One worker process: ``python -m benchmarks.engine.worker ARM ADDRESS DIRECTORY READY_FILE``."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from temporalio.client import Client
from temporalio.worker import Worker

from agentflow.adapters.directory_blobs import DirectoryBlobStore
from agentflow.testing import scripted_plugin
from benchmarks.engine import by_hand, guarded, tools
from benchmarks.engine.model import RecordReader


async def serve(arm: str, address: str, directory: Path, ready: Path) -> None:
    """Serve the arm's task queue until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with await make_worker(arm, address, directory):
        ready.write_text(str(os.getpid()))
        await stop.wait()


async def make_worker(arm: str, address: str, directory: Path) -> Worker:
    """The worker of an arm, on a task queue of the arm's name."""
    if not arm.startswith("agentflow"):
        client = await Client.connect(address)
        return Worker(client, task_queue=arm, workflows=by_hand.WORKFLOWS, activities=by_hand.ACTIVITIES)
    plugin = scripted_plugin(
        RecordReader(),
        tools=[tools.look_up_locally if arm.endswith("local") else tools.look_up, tools.correct],
        directory=directory,
        blobs=DirectoryBlobStore(directory / "blobs"),
    )
    client = await Client.connect(address, plugins=[plugin])
    return Worker(client, task_queue=arm, workflows=guarded.WORKFLOWS)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])))
