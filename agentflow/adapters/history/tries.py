"""Spending of the tries that Temporal made of a run before one, as their histories tell."""

import asyncio
from datetime import timedelta
from decimal import ROUND_CEILING, Decimal

from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowHistory
from temporalio.service import RPCError, RPCStatusCode

from agentflow.adapters.history.executions import Execution, goes_on_from, started
from agentflow.adapters.history.finding import document
from agentflow.adapters.history.manifests import manifest_in
from agentflow.adapters.history.payloads import Payloads, UnreadableError
from agentflow.adapters.history.spent import said_before, spent_at_most
from agentflow.contracts.manifest import SpentBefore
from agentflow.errors import AgentflowError, OutsideError

READ_TIME = timedelta(seconds=10)
"""For all histories together."""
MAX_EVENTS = 60_000
"""Of all histories together; Temporal ends an execution at 51,200."""
MAX_BYTES = 64 * 1024 * 1024
"""Of the same; Temporal ends an execution at 50 MB."""

_LEAST = Decimal("1e-12")
_PATIENCE = timedelta(seconds=5)


async def spent_before(client: Client, workflow_id: str, run_id: str) -> SpentBefore:
    """What the tries of a run before one have spent, at the most.

    Executions that a reset has put an end to are not among them: a reset takes the budget back.

    Args:
        client: Of a worker, with the data converter of the run's payloads.
        workflow_id: The run's.
        run_id: Of the execution that begins a later try.

    Returns:
        That; or why it can't be told any more.

    Raises:
        OutsideError: it can't be told now.
    """
    try:
        async with asyncio.timeout(READ_TIME.total_seconds()):
            executions = await _Tries(client, workflow_id).before(run_id)
            spent = await spent_at_most(client.data_converter, executions)
    except TimeoutError:
        took = f"reading their histories took longer than {READ_TIME.total_seconds():g} s"
        raise OutsideError(_unknown(took)) from None
    except RPCError as error:
        raise OutsideError(_unknown(f"Temporal can't say what they did: {error}")) from error
    except UnreadableError as error:
        return SpentBefore(problem=_unknown(f"a history of theirs can't be read: {error}"))
    except _NeverKnownError as error:
        return SpentBefore(problem=_unknown(str(error)))
    cost, possibly = (
        each.quantize(_LEAST, ROUND_CEILING) for each in (spent.cost_usd, spent.possibly_billed_usd)
    )
    return SpentBefore(cost_usd=cost.normalize(), possibly_billed_usd=possibly.normalize())


def _unknown(why: str) -> str:
    return (
        "how much of the budget Temporal's tries of this run before this one spent can't be told, so this "
        f"one may spend nothing: {why}"
    )


class _NeverKnownError(AgentflowError):
    """Asking again does not help."""


class _Tries:
    """Reads the executions before a try, back to one that says itself what was spent before it."""

    def __init__(self, client: Client, workflow_id: str) -> None:
        self._client = client
        self._workflow_id = workflow_id
        self._plain = Payloads(client.data_converter)
        self._events_left = MAX_EVENTS
        self._bytes_left = MAX_BYTES

    async def before(self, run_id: str) -> list[Execution]:
        """The executions, the first one first."""
        own = await self._history(run_id, only_start=True)
        found: list[Execution] = []
        run_id = goes_on_from(started(own))
        if not run_id:
            raise _NeverKnownError("Temporal does not say which execution was tried before")
        while run_id:
            history = await self._history(run_id)
            found.insert(0, Execution(run_id, history))
            run_id = "" if await self._says_all(history) else goes_on_from(started(history))
        return found

    async def _says_all(self, history: WorkflowHistory) -> bool:
        """Whether an execution knew what had been spent before it."""
        start = started(history)
        if start.attempt <= 1:
            task = document(await self._plain.value(start.input.payloads))
            return bool(document(task.get("carried")))
        for event in history.events:
            if event.HasField("marker_recorded_event_attributes"):
                manifest = await manifest_in(event.marker_recorded_event_attributes, self._plain)
                if manifest is not None:
                    return said_before(manifest) is not None
        return False

    async def _history(self, run_id: str, *, only_start: bool = False) -> WorkflowHistory:
        events: list[HistoryEvent] = []
        handle = self._client.get_workflow_handle(self._workflow_id, run_id=run_id)
        try:
            async for event in handle.fetch_history_events(rpc_timeout=_PATIENCE):
                self._events_left -= 1
                self._bytes_left -= event.ByteSize()
                if self._events_left < 0 or self._bytes_left < 0:
                    raise _NeverKnownError(f"they have more than {MAX_EVENTS} events or {MAX_BYTES} bytes")
                events.append(event)
                if only_start:
                    break
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            raise _NeverKnownError(f"execution {run_id} is not kept by Temporal any more") from None
        return WorkflowHistory(self._workflow_id, events)
