"""A worker whose runs are traced, for ``test_traces``.

In a process of its own, since a tracer provider can be set once. Prints the spans as JSON, one a line.
"""

import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Replayer, Worker

from agentflow import AgentClient, tools_of
from agentflow.contracts.escalation import Resolution
from agentflow.telemetry.tracing import configure_tracing
from agentflow.testing import ScriptedModel, answer, call, scripted_plugin
from tests.workflow.agents import Banker, LongBanker
from tests.workflow.harness import Harness
from tests.workflow.parent_agents import Child, Parent
from tests.workflow.tools import Bank

WORKFLOWS = [Banker, LongBanker, Parent, Child]
DONE = answer({"account": "alice", "amount": "10.00"})
LOOK = call("balance", account="alice")
SMALL = call("pay", account="alice", amount="10.00")
HUGE = call("pay", account="alice", amount="2000.00")
TEXT = "a secret that no span may hold"

Way = Callable[[Harness], Awaitable[WorkflowHandle[Any, Any]]]


async def approved(bank: Harness) -> WorkflowHandle[Any, Any]:
    """A read that fails once, and a write that two people approve."""
    bank.bank.failures = [RuntimeError(TEXT)]
    with trace.get_tracer("caller").start_as_current_span("caller"):
        handle = await bank.start(Banker, TEXT)
    asked = await bank.pending(handle)
    for name in ("ann", "bob"):
        await bank.agents.approve(handle.id, asked.id, by=name, reason=TEXT)
    return handle


async def escalated(bank: Harness) -> WorkflowHandle[Any, Any]:
    """A tool that isn't there, twice."""
    handle = await bank.start(Banker)
    await bank.escalation(handle)
    await bank.agents.resolve(handle.id, Resolution(action="guide", by="ann", text=TEXT))
    return handle


async def denied(bank: Harness) -> WorkflowHandle[Any, Any]:
    return await bank.start(Banker)


async def long(bank: Harness) -> WorkflowHandle[Any, Any]:
    return await bank.start(LongBanker)


async def delegated(bank: Harness) -> WorkflowHandle[Any, Any]:
    return await bank.start(Parent)


WAYS: dict[str, tuple[list[Any], Way]] = {
    "approved": ([LOOK, HUGE, DONE], approved),
    "escalated": ([call("no_such_tool"), call("no_such_tool"), DONE], escalated),
    "denied": ([call("pay", account="frozen", amount="1.00"), DONE], denied),
    "long": ([*[LOOK] * 12, DONE], long),
    "delegated": ([answer("hello")], delegated),
    "plain-provider": ([LOOK, DONE], denied),
}


def as_document(span: ReadableSpan) -> dict[str, Any]:
    context = span.get_span_context()
    assert context
    return {
        "name": span.name,
        "trace": context.trace_id,
        "id": context.span_id,
        "parent": span.parent.span_id if span.parent else None,
        "attributes": dict(span.attributes or {}),
        "status": span.status.status_code.name,
        "seconds": ((span.end_time or 0) - (span.start_time or 0)) / 1e9,
        "whole": span.to_json(),
    }


async def main(address: str, way: str) -> None:
    kept = InMemorySpanExporter()
    if way == "plain-provider":
        plain = TracerProvider()
        plain.add_span_processor(SimpleSpanProcessor(kept))
        trace.set_tracer_provider(plain)
    else:
        provider = configure_tracing(service="tests")
        provider.add_span_processor(SimpleSpanProcessor(kept))
    script, work = WAYS[way]
    bank, queue = Bank(), f"traced-{uuid4()}"
    with tempfile.TemporaryDirectory() as directory:
        plugin = scripted_plugin(ScriptedModel(script), tools=tools_of(bank), directory=Path(directory))
        client = await Client.connect(address, plugins=[plugin])
        async with Worker(client, task_queue=queue, workflows=WORKFLOWS):
            handle = await work(Harness(client, AgentClient(client), bank, queue))
            await handle.result()
        sent = len(kept.get_finished_spans())
        replayer = Replayer(workflows=WORKFLOWS, plugins=[plugin])
        await replayer.replay_workflow(await handle.fetch_history())
        assert len(kept.get_finished_spans()) == sent, "a replay sends spans"
    for span in kept.get_finished_spans():
        print(json.dumps(as_document(span)))


def run(address: str, way: str) -> None:
    asyncio.run(main(address, way))
