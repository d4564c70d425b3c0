"""The runs: each has one refund to make, is started once, and is waited for."""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from temporalio.client import WorkflowFailureError
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from agentflow import AgentClient, AgentOutcome, AgentTask
from benchmarks.chaos.agent import RefundDesk, RefundReport, RefundTask
from benchmarks.chaos.tools import ASKED, PROBED

ASKED_SHARE = 0.2
"""How many of the runs use the tool that can't ask payments."""

_LATEST_CANCEL = 12.0
"""Seconds after its start at which a run may be cancelled."""

Fate = Literal["waiting", "open", "ended", "lost"]
"""``waiting``: not started. ``open``: not ended. ``ended``: with an outcome. ``lost``: without one."""


@dataclass
class PlannedRun:
    """One run, from its plan to its end."""

    workflow_id: str
    task: RefundTask
    charge_id: str
    cancelled_after: float | None = None
    """Seconds after its start at which somebody cancels it."""
    chain: str = ""
    """The run id of its first execution, once it is known."""
    fate: Fate = "waiting"
    outcome: AgentOutcome[RefundReport] | None = None
    problem: str = ""
    """Why it is lost."""


def planned(charges: Sequence[tuple[str, str]], seed: int, cancelled: float = 0.0) -> list[PlannedRun]:
    """A run for each order.

    Args:
        charges: Order number and charge.
        seed: Decides on tools and amounts.
        cancelled: How many of them are to be cancelled, from 0 to 1.
    """
    whims = random.Random(f"{seed}/cancelled")
    chance = random.Random(f"{seed}/runs")
    runs: list[PlannedRun] = []
    for number, (order_id, charge_id) in enumerate(charges, start=1):
        amount = Decimal(chance.randint(100, 900)) / 100
        task = RefundTask(
            tool=ASKED if chance.random() < ASKED_SHARE else PROBED, order_id=order_id, amount_usd=amount
        )
        whim = whims.uniform(0, _LATEST_CANCEL) if whims.random() < cancelled else None
        runs.append(PlannedRun(f"refund-{number}", task, charge_id, whim))
    return runs


class Runner:
    """Starts the runs, so many at a time, and waits for their outcomes."""

    def __init__(self, agents: AgentClient, task_queue: str, in_flight: int) -> None:
        self._agents = agents
        self._task_queue = task_queue
        self._in_flight = asyncio.Semaphore(in_flight)

    async def carry_out(self, runs: Sequence[PlannedRun]) -> None:
        """Start all and wait for all. Cancelled, it leaves each with the fate it had by then."""
        async with asyncio.TaskGroup() as group:
            for run in runs:
                group.create_task(self._one(run))

    async def _one(self, run: PlannedRun) -> None:
        async with self._in_flight:
            await self._start(run)
            run.fate = "open"
            cancelling = asyncio.create_task(self._cancel(run))
            try:
                run.outcome = await self._result(run)
                run.fate = "ended"
            except (WorkflowFailureError, RPCError) as error:
                run.fate = "lost"
                run.problem = f"{error}: {error.__cause__}"
            finally:
                cancelling.cancel()

    async def _cancel(self, run: PlannedRun) -> None:
        if run.cancelled_after is None:
            return
        await asyncio.sleep(run.cancelled_after)
        # While the server is down nobody can cancel anything.
        with suppress(RPCError):
            await self._agents.cancel(run.workflow_id)

    async def _start(self, run: PlannedRun) -> None:
        task = AgentTask(input=run.task, requested_by="chaos")
        while True:
            try:
                await self._agents.start(
                    RefundDesk, task, task_queue=self._task_queue, workflow_id=run.workflow_id
                )
                return
            except WorkflowAlreadyStartedError:
                return  # by an earlier try, whose answer was lost
            except RPCError:
                await asyncio.sleep(0.5)

    async def _result(self, run: PlannedRun) -> AgentOutcome[RefundReport]:
        while True:
            try:
                handle = self._agents.temporal.get_workflow_handle(run.workflow_id)
                info = (await handle.describe()).raw_description.workflow_execution_info
                run.chain = info.first_run_id
                return await self._agents.result(run.workflow_id, RefundReport)
            except RPCError as error:
                if error.status == RPCStatusCode.NOT_FOUND:
                    raise
                await asyncio.sleep(0.5)


async def keep_telling(runs: Sequence[PlannedRun], tell: Callable[[str], None]) -> None:
    """Say every few seconds how far the runs are."""
    while True:
        await asyncio.sleep(5)
        fates = {fate: sum(run.fate == fate for run in runs) for fate in ("waiting", "open", "ended", "lost")}
        tell(", ".join(f"{number} {fate}" for fate, number in fates.items() if number))
