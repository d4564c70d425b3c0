"""Floods of decisions that can't count, and how long the right one takes behind them.

``python -m benchmarks.floods --signals 9900``. A run waits for an approval, and somebody who may signal sends
thousands of decisions: all the same, each with other words, or each with a signature that is none. Once with
a worker that hears them as they come, while the run continues as new as often as it may, and once with all of
them there before a worker is. Then the right decision is sent. Printed is how long it takes until the run has
ended, and how long a bare workflow takes that waits for one word behind the same flood. A server takes 10,000
signals an execution.
"""

import argparse
import asyncio
import logging
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker

from agentflow import AgentClient, AgentTask, tools_of
from agentflow.adapters.dev_server import DevServer
from agentflow.adapters.signer import Signer
from agentflow.contracts.approval import ApprovalRequest
from agentflow.contracts.identity import ApproverKey
from agentflow.contracts.names import SEARCH_ATTRIBUTES
from agentflow.testing import MemoryLedger, ScriptedModel, answer, call, scripted_plugin
from benchmarks.command_line import add_json, machine, positive_int, print_report, silence_agentflow, teller
from benchmarks.floods_agent import Cashier, Till
from benchmarks.floods_bare import Bare

ANN = Signer.generate("ann", ("finance",))
AT_ONCE = 100
"""Signals under way to the server."""
LONGEST = 120.0
"""Seconds that the right decision may take."""

Make = Callable[[ApprovalRequest, int], dict[str, Any]]


class Keys:
    """Ann's key, and no other."""

    async def keys(self) -> tuple[ApproverKey, ...]:
        """The key."""
        return (ANN.public(),)


def _wrong(request: ApprovalRequest, number: int) -> dict[str, Any]:
    return {"approval_id": request.id, "by": "eve", "arguments_hash": "0" * 64}


def _in_other_words(request: ApprovalRequest, number: int) -> dict[str, Any]:
    return {**_wrong(request, number), "reason": f"number {number}"}


def _with_a_signature(request: ApprovalRequest, number: int) -> dict[str, Any]:
    decision = ANN.decision(request, "approve").model_dump(mode="json")
    head, body, _ = decision["token"].split(".")
    return {**decision, "token": f"{head}.{body}.{number:086d}"}


FLOODS: Mapping[str, Make] = {
    "the same": _wrong,
    "other words": _in_other_words,
    "signatures": _with_a_signature,
}


async def _send(handle: WorkflowHandle[Any, Any], make: Make, request: ApprovalRequest, signals: int) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def send(number: int) -> None:
        async with gate:
            await handle.signal("approve", make(request, number))

    await asyncio.gather(*map(send, range(signals)))


async def behind(address: str, make: Make, signals: int, *, is_there: bool) -> float:
    """How long the right decision takes behind a flood; nothing else is paid.

    Args:
        address: Of a server.
        make: Makes the wrong decisions.
        signals: How many there are.
        is_there: Whether a worker hears them as they come; else it comes when all are there.
    """
    till, queue, took = Till(), f"floods-{uuid4()}", 0.0
    model = ScriptedModel([call("pay", amount="10.00"), answer("done")])
    plugin = scripted_plugin(model, tools=tools_of(till), ledger=MemoryLedger(), approvers=Keys())
    client = await Client.connect(address, plugins=[plugin])
    agents = AgentClient(client)

    def worker() -> Worker:
        return Worker(client, task_queue=queue, workflows=[Cashier])

    async with worker():
        task = AgentTask(input="pay", requested_by="rita")
        handle = client.get_workflow_handle(await agents.start(Cashier, task, task_queue=queue))
        request = (await agents.attention(handle.id)).approvals[0]
        if is_there:
            await _send(handle, make, request, signals)
            took = await _counted(handle, request)
    if is_there:
        return _only(till, took)
    await _send(handle, make, request, signals)
    await handle.signal("approve", ANN.decision(request, "approve").model_dump(mode="json"))
    async with worker():
        return _only(till, await _ended(handle, time.monotonic()))


def _only(till: Till, took: float) -> float:
    if till.paid != ["10.00"]:
        raise AssertionError(f"paid was {till.paid}")
    return took


async def _counted(handle: WorkflowHandle[Any, Any], request: ApprovalRequest) -> float:
    began = time.monotonic()
    await handle.signal("approve", ANN.decision(request, "approve").model_dump(mode="json"))
    return await _ended(handle, began)


async def _ended(handle: WorkflowHandle[Any, Any], began: float) -> float:
    await asyncio.wait_for(handle.result(), LONGEST)
    return round(time.monotonic() - began, 2)


async def bare(address: str, signals: int) -> float:
    """How long a bare workflow takes to hear the right word, where all are there before its worker."""
    client, queue = await Client.connect(address), f"bare-{uuid4()}"
    handle: WorkflowHandle[Any, Any] = await client.start_workflow(Bare.run, id=queue, task_queue=queue)
    gate = asyncio.Semaphore(AT_ONCE)

    async def send(by: str) -> None:
        async with gate:
            await handle.signal("approve", {"by": by})

    await asyncio.gather(*(send("eve") for _ in range(signals)))
    await send("ann")
    began = time.monotonic()
    async with Worker(client, task_queue=queue, workflows=[Bare]):
        return await _ended(handle, began)


async def measured(signals: int, rounds: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """All floods, each so many times; the medians."""
    took: dict[str, list[float]] = {}
    for number in range(rounds):
        async with DevServer(ui=False, search_attributes=SEARCH_ATTRIBUTES) as server:
            for name, make in FLOODS.items():
                for is_there in (True, False):
                    found = await behind(server.address, make, signals, is_there=is_there)
                    took.setdefault(f"{name}, worker {'there' if is_there else 'away'}", []).append(found)
                    tell(f"round {number + 1}: {name}, worker {'there' if is_there else 'away'}: {found} s")
            took.setdefault("bare workflow, worker away", []).append(await bare(server.address, signals))
    return {
        "counts_after_s": {name: statistics.median(each) for name, each in took.items()},
        "slowest_s": {name: max(each) for name, each in took.items()},
    }


def main() -> int:
    """Measure, print the figures, and answer the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.floods", description=__doc__)
    parser.add_argument("--signals", type=positive_int, default=9_900, help="of each flood")
    parser.add_argument("--rounds", type=positive_int, default=3)
    add_json(parser)
    given = parser.parse_args()
    logging.getLogger("temporalio").setLevel(logging.ERROR)
    silence_agentflow()
    found = asyncio.run(measured(given.signals, given.rounds, teller()))
    print_report({"signals": given.signals, "rounds": given.rounds, **found, **machine()}, as_json=given.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
