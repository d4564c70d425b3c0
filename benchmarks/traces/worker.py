"""A worker of the benchmark: ``python -m benchmarks.traces.worker ADDRESS QUEUE DIRECTORY TRACING``."""

import asyncio
import logging
import sys
from pathlib import Path

from temporalio.client import Client
from temporalio.worker import Worker

from agentflow import tools_of
from agentflow.adapters.stores import open_blobs
from agentflow.telemetry.tracing import configure_tracing
from agentflow.testing import ScriptedModel, answer, call, scripted_plugin
from benchmarks.command_line import silence_agentflow
from benchmarks.traces.agent import Bookkeeper, Books


async def main(address: str, queue: str, directory: str, tracing: str) -> None:
    """Say that it serves, and serve until standard input is closed, or somebody kills this."""
    logging.getLogger("temporalio").setLevel(logging.CRITICAL)
    silence_agentflow()
    place, provider = Path(directory), None
    if tracing == "spool":
        provider = configure_tracing(spool=place / "spool", service="traces")
    elif tracing == "batch":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        provider = configure_tracing(OTLPSpanExporter(), service="traces")
    model = ScriptedModel([call("look", account="a"), call("note", text="n"), answer("done")])
    plugin = scripted_plugin(
        model, tools=tools_of(Books(place / "books")), directory=place, blobs=open_blobs(str(place / "blobs"))
    )
    client = await Client.connect(address, plugins=[plugin])
    async with Worker(client, task_queue=queue, workflows=[Bookkeeper]):
        print("serving", flush=True)
        await asyncio.to_thread(sys.stdin.read)
    if provider:
        provider.shutdown()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
