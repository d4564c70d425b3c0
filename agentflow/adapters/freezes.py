"""The kill switch of a namespace.

A freeze is an open workflow execution that no worker serves: reading it is one consistent look at the server,
its start says who froze what and why, its end who let go. So that no run slips through, the execution is
started first, which new runs look for, and then the runs that are at work are told by signal.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from agentflow.adapters.broadcast import ALL_OPEN_RUNS, RPC_TIMEOUT, SWEEPS, Told, tell_runs
from agentflow.contracts import names
from agentflow.contracts.freeze import Freeze, keys_of

_TASK_QUEUE = "agentflow-freezes"
_IDS = "agentflow-freeze"


@dataclass(frozen=True)
class OpenFreeze:
    """A freeze that holds."""

    key: str
    """``fleet``, ``agent:NAME`` or ``tenant:NAME``."""
    by: str
    reason: str
    since: datetime


class Freezes:
    """The freezes of the namespace that a client is connected to."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def holding(self, agent: str, tenant: str) -> tuple[str, ...]:
        """The freezes that concern a run.

        Raises:
            temporalio.service.RPCError: the server can't tell; nobody may take that for a no.
        """
        keys = keys_of(agent, tenant)
        held = await asyncio.gather(*(self._holds(key) for key in keys))
        return tuple(key for key, holds in zip(keys, held, strict=True) if holds)

    async def open(self) -> list[OpenFreeze]:
        """All freezes that hold, the newest first; visibility may be a moment behind."""
        query = f"WorkflowType = '{names.FREEZE_WORKFLOW}' AND ExecutionStatus = 'Running'"
        found: list[OpenFreeze] = []
        async for execution in self._client.list_workflows(query, rpc_timeout=RPC_TIMEOUT):
            memo = await execution.memo()
            since = execution.start_time
            found.append(OpenFreeze(_key(execution.id), str(memo["by"]), str(memo["reason"]), since))
        return found

    async def freeze(self, freeze: Freeze, sweeps: Sequence[float] = SWEEPS) -> Told:
        """Deny all writes of what is frozen: of runs to come, and of those at work.

        Raises:
            temporalio.service.RPCError: the server can't be reached, or lacks the search attributes.
        """
        changed = True
        try:
            await self._client.start_workflow(
                names.FREEZE_WORKFLOW,
                freeze.model_dump(mode="json"),
                id=_id(freeze.key),
                task_queue=_TASK_QUEUE,
                memo={"by": freeze.by, "reason": freeze.reason},
                static_summary=f"{freeze.key} is frozen by {freeze.by}"[:200],
                rpc_timeout=RPC_TIMEOUT,
            )
        except WorkflowAlreadyStartedError:
            changed = False
        return await self._tell(names.FREEZE_SIGNAL, freeze, changed, sweeps)

    async def unfreeze(self, freeze: Freeze, sweeps: Sequence[float] = SWEEPS) -> Told:
        """Let the rules decide again.

        Raises:
            temporalio.service.RPCError: the server can't be reached, or lacks the search attributes.
        """
        changed = True
        try:
            handle = self._client.get_workflow_handle(_id(freeze.key))
            await handle.terminate(
                reason=f"unfrozen by {freeze.by}: {freeze.reason}", rpc_timeout=RPC_TIMEOUT
            )
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            changed = False
        return await self._tell(names.UNFREEZE_SIGNAL, freeze, changed, sweeps)

    async def _holds(self, key: str) -> bool:
        try:
            described = await self._client.get_workflow_handle(_id(key)).describe(rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return False
            raise
        return described.status == WorkflowExecutionStatus.RUNNING

    async def _tell(self, signal: str, freeze: Freeze, changed: bool, sweeps: Sequence[float]) -> Told:
        told = Told(freeze.key, changed)
        payload = freeze.model_dump(mode="json")
        return await tell_runs(self._client, _running(freeze), signal, payload, told, sweeps=sweeps)


def _running(freeze: Freeze) -> str:
    running = "ExecutionStatus = 'Running'"
    match freeze.scope:
        case "fleet":
            return ALL_OPEN_RUNS
        case "agent":
            return f"{names.AGENT_NAME} = '{freeze.name}' AND {running}"
        case "tenant":
            return f"{names.AGENT_TENANT} = '{freeze.name}' AND {running}"


def _id(key: str) -> str:
    return f"{_IDS}/{key}"


def _key(workflow_id: str) -> str:
    return workflow_id.removeprefix(f"{_IDS}/")
