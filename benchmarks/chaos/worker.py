"""One worker process of the chaos run, which may kill itself: ``python -m benchmarks.chaos.worker``.

Its orders come as one line of JSON on standard input. When that closes, the driver is gone, and so is it.
"""

import asyncio
import os
import signal
import sys
import threading
from datetime import timedelta
from pathlib import Path

from temporalio.client import Client
from temporalio.worker import Worker

from activities.payments import Payments
from activities.shop import ShopDatabase
from agentflow import AgentflowPlugin, tools_of
from agentflow.adapters.directory_blobs import DirectoryBlobStore
from agentflow.contracts.model import ModelAnswer, ModelCall
from agentflow.contracts.wire import Contract
from agentflow.testing import Fault, FaultPlan, FaultPoint, Kill, ScriptedModel, scripted_plugin
from benchmarks.chaos.agent import RefundDesk, script
from benchmarks.chaos.ledgers import LedgerKind, open_ledger
from benchmarks.chaos.timing import CLIENT_TIMEOUT, STICKY_TIMEOUT
from benchmarks.chaos.tools import RefundTools

_CONNECTING = timedelta(seconds=60)
"""How long a worker waits for a server that is being started again."""


class Death(Contract):
    """Where a worker kills itself."""

    at: FaultPoint
    name: str
    """The tool, or the activity; empty is any."""
    passage: int


class Orders(Contract):
    """What a worker has to know."""

    temporal: str
    task_queue: str
    payments: str
    api_key: str
    directory: Path
    ledger: LedgerKind
    ledger_place: str
    death: Death | None


class CountedModel:
    """Writes a line for each answer that the model gives, which a provider would bill."""

    def __init__(self, bills: Path) -> None:
        self._model = ScriptedModel(script)
        self._bills = os.open(bills, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    async def chat(self, call: ModelCall) -> ModelAnswer:
        """Answer by the script."""
        answer = await self._model.chat(call)
        os.write(self._bills, f"{call.idempotency_key}\n".encode())
        self._model.requests.clear()
        return answer


async def serve(orders: Orders) -> None:
    """Serve until killed."""
    plan = _plan(orders.death)
    payments = Payments(orders.api_key, orders.payments, timeout=CLIENT_TIMEOUT)
    tools = RefundTools(ShopDatabase(orders.directory / "shop.sqlite"), payments)
    plugin = scripted_plugin(
        plan.model(CountedModel(orders.directory / "bills.txt")),
        tools=tools_of(tools),
        ledger=plan.ledger(open_ledger(orders.ledger, orders.ledger_place)),
        blobs=DirectoryBlobStore(orders.directory / "blobs"),
    )
    worker = Worker(
        await _connected(orders.temporal, plugin),
        task_queue=orders.task_queue,
        workflows=[RefundDesk],
        interceptors=[plan.interceptor()],
        sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
    )
    await worker.run()


def _plan(death: Death | None) -> FaultPlan:
    if death is None:
        return FaultPlan()
    names = {death.name} if death.name else frozenset[str]()
    return FaultPlan((Fault(death.at, Kill(), tools=names, passage=death.passage),))


async def _connected(address: str, plugin: AgentflowPlugin) -> Client:
    async with asyncio.timeout(_CONNECTING.total_seconds()):
        while True:
            try:
                return await Client.connect(address, plugins=[plugin])
            except RuntimeError:
                await asyncio.sleep(0.3)


def _die_with_the_driver() -> None:
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    given = Orders.model_validate_json(sys.stdin.readline())
    threading.Thread(target=_die_with_the_driver, daemon=True).start()
    asyncio.run(serve(given))
