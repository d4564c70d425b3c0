"""One run with two approvals, a retry and a killed worker: as a timeline and as a trace.

``python -m benchmarks.traces.story``. With ``--svg FILE`` the trace is drawn; with ``--endpoint URL`` spans
go to a collector of yours instead.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

from temporalio.client import Client
from temporalio.worker import Worker

from agentflow import AgentClient, AgentflowPlugin, AgentTask, tools_of
from agentflow.adapters.dev_server import DevServer
from agentflow.adapters.stores import open_blobs
from agentflow.contracts.names import SEARCH_ATTRIBUTES
from agentflow.telemetry.logs import configure_logs
from agentflow.telemetry.tracing import configure_tracing
from agentflow.testing import ScriptedModel, answer, call, scripted_plugin
from benchmarks.traces.picture import as_svg, as_text
from benchmarks.traces.receiver import Receiver
from benchmarks.traces.story_agent import Ledgers, MonthEnd

QUEUE = "story"
CLOSES = [
    call("pay", account="NL01", amount="120.00"),
    call("pay", account="DE02", amount="80.00"),
    call("close_month", month="October"),
    answer("October is closed"),
]


async def serve(address: str, directory: Path, openinference: bool) -> None:
    """A worker, until standard input is closed or somebody kills it."""
    configure_logs(file=directory / "log")
    provider = configure_tracing(spool=directory / "spool", service="story", openinference=openinference)

    def says(asked: object) -> object:
        messages = asked.messages  # type: ignore[attr-defined]
        return CLOSES[sum(message.kind == "assistant" for message in messages)]

    plugin = scripted_plugin(
        ScriptedModel(says),  # type: ignore[arg-type]
        tools=tools_of(Ledgers(directory)),
        directory=directory,
        blobs=open_blobs(str(directory / "blobs")),
    )
    client = await Client.connect(address, plugins=[plugin])
    async with Worker(client, task_queue=QUEUE, workflows=[MonthEnd]):
        await asyncio.to_thread(sys.stdin.read)
    provider.shutdown()


async def tell(endpoint: str, directory: Path, address: str, openinference: bool) -> str:
    """The run's id, once it is over and its spans are sent."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.traces.story",
        "--serve",
        address,
        "--directory",
        str(directory),
    ]
    command += ["--openinference"] if openinference else []

    async def worker() -> asyncio.subprocess.Process:
        env = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
        return await asyncio.create_subprocess_exec(*command, env=env, stdin=asyncio.subprocess.PIPE)

    first = await worker()
    client = await Client.connect(address, plugins=[AgentflowPlugin()])
    agents = AgentClient(client)
    run = await agents.start(
        MonthEnd, AgentTask(input="Close October.", requested_by="rita"), task_queue=QUEUE
    )
    for name, seconds in (("ann", 1.0), ("bob", 1.5)):
        waiting = (await agents.attention(run)).approvals
        await asyncio.sleep(seconds)
        await agents.approve(run, waiting[0].id, by=name)
    await asyncio.to_thread(_wait_for, directory / "closing")
    first.kill()
    await first.wait()
    second = await worker()
    outcome = await agents.result(run, str)
    assert outcome.status == "completed", outcome.reason
    if second.stdin:
        second.stdin.close()
    await second.wait()
    return run


def _wait_for(file: Path) -> None:
    while not file.exists():
        time.sleep(0.05)
    time.sleep(0.5)


async def main(options: argparse.Namespace) -> None:
    """Tell the story, and show it."""
    with tempfile.TemporaryDirectory() as place, Receiver() as receiver:
        async with DevServer(ui=False, search_attributes=SEARCH_ATTRIBUTES) as server:
            endpoint = options.endpoint or receiver.endpoint
            run = await tell(endpoint, Path(place), server.address, options.openinference)
            agentflow = Path(sysconfig.get_path("scripts")) / "agentflow"
            await asyncio.to_thread(
                subprocess.run, [agentflow, "--address", server.address, "show", run], check=True
            )
        spans = list({span.id: span for span in receiver.spans}.values())
    if spans:
        print(as_text(spans))
    if options.svg and spans:
        drawn = as_svg(spans, "A run as one trace")
        await asyncio.to_thread(Path(options.svg).write_text, drawn, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--svg", help="draw the trace into this file")
    parser.add_argument("--endpoint", help="a collector of yours: OTLP over HTTP, without /v1/traces")
    parser.add_argument("--openinference", action="store_true", help="with OpenInference's names as well")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--directory", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        asyncio.run(serve(chosen.serve, Path(chosen.directory), chosen.openinference))
    else:
        asyncio.run(main(chosen))
