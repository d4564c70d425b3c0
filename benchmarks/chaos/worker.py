"""One worker process of the chaos run, which may kill itself."""

import asyncio
import os
from datetime import timedelta
from pathlib import Path
from typing import cast

from pydantic import Field
from temporalio.client import Client
from temporalio.worker import Worker

from activities.payments import Payments
from activities.shop import ShopDatabase
from agentflow import AgentflowPlugin, tools_of
from agentflow.adapters.directory_blobs import DirectoryBlobStore
from agentflow.contracts.model import ModelAnswer, ModelCall
from agentflow.contracts.wire import Contract
from agentflow.ports.ledger import EffectLedger
from agentflow.testing import Fault, FaultPlan, FaultPoint, Kill, ScriptedModel, scripted_plugin
from benchmarks.chaos import clock
from benchmarks.chaos.agent import LongRefundDesk, RefundDesk, script
from benchmarks.chaos.disk import FullDisk
from benchmarks.chaos.doom import Doom, Moment
from benchmarks.chaos.ledgers import WorldName, open_ledger
from benchmarks.chaos.timing import CLIENT_TIMEOUT, STICKY_TIMEOUT
from benchmarks.chaos.tools import RefundTools

_CONNECTING = timedelta(seconds=60)
"""How long a worker waits for a server that is being started again."""

_IMPATIENT = timedelta(seconds=2)
"""How long a worker waits for a lock that somebody holds, where that is what goes wrong."""


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
    world: WorldName
    ledger: str
    """Its address."""
    death: Death | None = None
    deaths: dict[str, tuple[Moment, ...]] = Field(default_factory=dict[str, tuple[Moment, ...]])
    """When workers die in the write of a run, by run."""
    full_disk: bool = False
    """Whether the disk is full in some of the ledger's writes."""
    clock_seconds: float = 0.0
    """How far the clock is off."""


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
    if orders.clock_seconds:
        clock.shift(orders.clock_seconds)
    plan = _plan(orders.death)
    payments = Payments(orders.api_key, orders.payments, timeout=CLIENT_TIMEOUT)
    shop = ShopDatabase(orders.directory / "shop.sqlite")
    tools = RefundTools(shop, payments, orders.payments, orders.api_key)
    plugin = scripted_plugin(
        plan.model(CountedModel(orders.directory / "bills.txt")),
        tools=tools_of(tools),
        ledger=plan.ledger(_ledger(orders)),
        blobs=DirectoryBlobStore(orders.directory / "blobs"),
    )
    worker = Worker(
        await _connected(orders.temporal, plugin),
        task_queue=orders.task_queue,
        workflows=[RefundDesk, LongRefundDesk],
        interceptors=[plan.interceptor()],
        sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
    )
    await worker.run()


def _ledger(orders: Orders) -> EffectLedger:
    if not orders.full_disk:
        doom = Doom(open_ledger(orders.world, orders.ledger), orders.deaths, orders.directory)
        return cast(EffectLedger, doom)
    ledger = open_ledger(orders.world, orders.ledger, busy_timeout=_IMPATIENT)
    return cast(EffectLedger, FullDisk(ledger, Path(orders.ledger), str(os.getpid())))


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
