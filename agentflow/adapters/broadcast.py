"""A signal to all runs of a kind that are at work."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from agentflow.contracts.names import AGENT_NAME
from agentflow.contracts.wire import Json

ALL_OPEN_RUNS = f"{AGENT_NAME} IS NOT NULL AND ExecutionStatus = 'Running'"
"""The visibility query for the runs at work, of every agent."""
RPC_TIMEOUT = timedelta(seconds=10)
SIGNALS_AT_ONCE = 64
SWEEPS: tuple[float, ...] = (0, 1, 3)
"""Seconds after which runs are looked for: visibility follows the runs by a moment."""


@dataclass
class Told:
    """What became of a signal to many runs."""

    key: str
    """What it is about."""
    changed: bool = True
    """False when it was so before."""
    runs: int = 0
    """How many runs were told."""
    problems: list[str] = field(default_factory=list[str])
    """Runs that could not be told, and why."""


async def tell_runs(
    client: Client, query: str, signal: str, payload: Json, told: Told, *, sweeps: Sequence[float] = SWEEPS
) -> Told:
    """Send a signal to the runs that a visibility query finds, each once.

    Args:
        client: Of the namespace.
        query: For the runs.
        signal: Its name.
        payload: Its payload.
        told: What is already known; it is added to.
        sweeps: Seconds after which runs are looked for.

    Raises:
        temporalio.service.RPCError: the server can't be reached, or lacks the search attributes.
    """
    seen: set[str] = set()
    begun = asyncio.get_running_loop().time()

    async def tell(run: str) -> None:
        try:
            await client.get_workflow_handle(run).signal(signal, payload, rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            # A run that has ended does nothing any more.
            if error.status != RPCStatusCode.NOT_FOUND:
                told.problems.append(f"{run}: {error.message}")
            return
        told.runs += 1

    for after in sweeps:
        await asyncio.sleep(max(begun + after - asyncio.get_running_loop().time(), 0))
        await _at_once(_new_runs(client, query, seen), tell)
    return told


async def _new_runs(client: Client, query: str, seen: set[str]) -> AsyncIterator[str]:
    async for execution in client.list_workflows(query, rpc_timeout=RPC_TIMEOUT):
        if execution.id not in seen:
            seen.add(execution.id)
            yield execution.id


async def _at_once(runs: AsyncIterator[str], do: Callable[[str], Awaitable[None]]) -> None:
    """Do it with all runs, some at a time, the first ones while more are looked up."""
    free = asyncio.Semaphore(SIGNALS_AT_ONCE)

    async def one(run: str) -> None:
        async with free:
            await do(run)

    async with asyncio.TaskGroup() as group:
        async for run in runs:
            group.create_task(one(run))
