"""Which ledger the earlier executions of a run recorded their writes in, as their histories tell."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.api.history.v1 import HistoryEvent, WorkflowExecutionStartedEventAttributes
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from agentflow.activity.arrivals import reset_from
from agentflow.activity.reconcile import Asker
from agentflow.adapters.history.executions import begun_by_cron, goes_on_from
from agentflow.adapters.history.finding import document, time_of
from agentflow.adapters.history.manifests import manifest_in
from agentflow.adapters.history.payloads import Payloads, UnreadableError
from agentflow.adapters.history.sealed_values import SealedValues
from agentflow.adapters.visibility import quoted
from agentflow.contracts import names
from agentflow.contracts.wire import Json
from agentflow.core.seal import SealKeys
from agentflow.errors import LedgerError

READ_TIME = timedelta(seconds=20)
"""For all histories together."""
MAX_EVENTS = 60_000
"""Of all histories together; Temporal ends an execution at 51,200."""
MAX_BYTES = 64 * 1024 * 1024
"""Of the same; Temporal ends an execution at 50 MB."""
MAX_EXECUTIONS = 1_000
"""Of one workflow id, where a run was reset."""

_PATIENCE = timedelta(seconds=5)
_SKEW = timedelta(minutes=1)
_RUN = "WorkflowId = {} AND StartTime >= '{:%Y-%m-%dT%H:%M:%SZ}'"


async def pin_before(client: Client, keys: SealKeys, asker: Asker) -> str | None:
    """The id of the ledger that earlier executions of a run were pinned to, for the asker's task queue.

    The nearest one counts; ``None`` if none of them was pinned, so that none of them has begun a write there.

    Args:
        client: Of a worker, with the data converter of the run's payloads.
        keys: The fleet's: pins that no worker answered, or no run took along, are none.
        asker: The execution that is about to be pinned.

    Raises:
        LedgerError: it can't be told, now or any more; the text says why and what to do.
    """
    try:
        async with asyncio.timeout(READ_TIME.total_seconds()):
            return await _Search(client, keys, asker).pin()
    except TimeoutError:
        raise _unknown(f"reading its history took longer than {READ_TIME.total_seconds():g} s") from None
    except UnreadableError as error:
        raise _unknown(f"the history of an earlier execution can't be read: {error}") from error
    except RPCError as error:
        raise _unknown(f"Temporal can't say what its earlier executions did: {error}") from error


def _unknown(why: str) -> LedgerError:
    return LedgerError(
        f"which ledger this run's writes are recorded in can't be told, so none may begin: {why}. If that "
        "stays so, look up what the run has done already, and start another run for the rest"
    )


class _Search:
    """Looks through the executions of one run, the nearest first, within one bound for all of them."""

    def __init__(self, client: Client, keys: SealKeys, asker: Asker) -> None:
        self._client = client
        self._asker = asker
        self._plain = Payloads(client.data_converter)
        self._sealed = SealedValues(client, keys, asker.workflow_id)
        self._first_run_id = ""
        """Of the first execution of the asker's chain, once that is read."""
        self._seen: set[str] = set()
        self._since = datetime.now(UTC)
        """When the first execution that was seen began."""
        self._was_reset = False
        self._events_left = MAX_EVENTS
        self._bytes_left = MAX_BYTES

    async def pin(self) -> str | None:
        found = await self._along([self._asker.run_id])
        if found is not None or not self._was_reset:
            return found
        # Where one execution is reset twice, no history names what the first reset made. It has closed after
        # the one that was reset: as long as that is kept, it is.
        return await self._along(await self._listed())

    async def _along(self, run_ids: Iterable[str]) -> str | None:
        """The pin of the first of some executions, and of those that they lead to, that has one."""
        left = deque(run_ids)
        while left:
            run_id = left.popleft()
            if run_id in self._seen:
                continue
            self._seen.add(run_id)
            execution = await self._read(run_id)
            if execution is None:
                continue
            if execution.pin is not None:
                return execution.pin
            self._was_reset = self._was_reset or bool(execution.resets)
            self._since = min(self._since, execution.began)
            left.extend(execution.leads_to)
        return None

    async def _read(self, run_id: str) -> "_Execution | None":
        """An execution, as far as to its pin; ``None`` if it is of another run."""
        execution = None
        try:
            async for event in self._events(run_id):
                if execution is None:
                    started = event.workflow_execution_started_event_attributes
                    if not self._is_of_the_run(started):
                        return None
                    execution = _Execution(self._asker.task_queue, started, self._plain, self._sealed)
                await execution.take(event)
                if execution.pin is not None:
                    break
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            gone = f"its execution {run_id}, which may have written before, is not kept by Temporal any more"
            raise _unknown(gone) from None
        return execution

    def _is_of_the_run(self, started: WorkflowExecutionStartedEventAttributes) -> bool:
        """Whether an execution is of the asker's run. One that has continued a cron's does not say which."""
        if not self._first_run_id:
            self._first_run_id = started.first_execution_run_id
        if begun_by_cron(started) and started.original_execution_run_id != self._asker.chain:
            return False
        return started.first_execution_run_id == self._first_run_id

    async def _listed(self) -> list[str]:
        """The executions of the workflow id since the run began, the last one first."""
        query = _RUN.format(quoted(self._asker.workflow_id), self._since - _SKEW)
        found = self._client.list_workflows(query, limit=MAX_EXECUTIONS + 1, rpc_timeout=_PATIENCE)
        listed = [one.run_id async for one in found]
        if len(listed) > MAX_EXECUTIONS:
            raise _unknown(f"its workflow id has had more than {MAX_EXECUTIONS} executions since it began")
        return listed

    async def _events(self, run_id: str) -> AsyncIterator[HistoryEvent]:
        handle = self._client.get_workflow_handle(self._asker.workflow_id, run_id=run_id)
        async for event in handle.fetch_history_events(rpc_timeout=_PATIENCE):
            self._events_left -= 1
            self._bytes_left -= event.ByteSize()
            if self._events_left < 0 or self._bytes_left < 0:
                raise _unknown(f"there is more history to read than {MAX_EVENTS} events or {MAX_BYTES} bytes")
            yield event


class _Execution:
    """Reads the pin of one execution, and which others it comes from or goes on in."""

    def __init__(
        self,
        task_queue: str,
        started: WorkflowExecutionStartedEventAttributes,
        plain: Payloads,
        sealed: SealedValues,
    ) -> None:
        self.pin: str | None = None
        """Of the task queue."""
        self.began = datetime.now(UTC)
        self.resets: list[str] = []
        """Executions that were reset to it, the latest last."""
        self._task_queue = task_queue
        self._is_own_queue = task_queue == started.task_queue.name
        self._started = started
        self._plain = plain
        self._sealed = sealed
        self._before = goes_on_from(started)
        self._after = ""
        self._manifest_pins = self._is_own_queue
        """Whether the next manifest is the one that pins the run's own task queue."""
        self._asked: dict[int, str] = {}
        """Calls that asked for the queue's ledger, by the events that scheduled them."""

    @property
    def leads_to(self) -> list[str]:
        """The executions that it names, the nearest first."""
        return [run_id for run_id in (*reversed(self.resets), self._before, self._after) if run_id]

    async def take(self, event: HistoryEvent) -> None:
        """Look at the next event."""
        which = str(event.WhichOneof("attributes"))
        attributes: Any = getattr(event, which)
        match which:
            case "workflow_execution_started_event_attributes":
                self.began = time_of(event.event_time)
                await self._take_up(document(await self._plain.value(attributes.input.payloads)))
            case "marker_recorded_event_attributes" if self._manifest_pins:
                await self._marker(attributes)
            case "activity_task_scheduled_event_attributes":
                await self._scheduled(event.event_id, attributes)
            case "activity_task_completed_event_attributes":
                await self._completed(attributes)
            case "workflow_task_failed_event_attributes":
                if (base := reset_from(event)) is not None:
                    self.resets.append(base)
            case _:
                # A cron's next execution is found to be of another run when it is read.
                self._after = getattr(attributes, "new_execution_run_id", "")

    async def _take_up(self, task: dict[str, Any]) -> None:
        carried = self._sealed.state(task, self._started.first_execution_run_id)
        if not carried:
            return
        # A later manifest is only compared with the run's.
        self._manifest_pins = False
        pins = document(carried.get("ledgers"))
        own = pins.get("") if self._is_own_queue else None
        self._pin_to(own or pins.get(self._task_queue))
        if carried.get("knows_all") is True and self._started.attempt == 1:
            self._before = ""

    async def _marker(self, marker: Any) -> None:
        if (manifest := await manifest_in(marker, self._plain)) is not None:
            self._manifest_pins = False
            self._pin_to({"id": manifest.get("ledger")})

    async def _scheduled(self, event_id: int, scheduled: Any) -> None:
        asked = (scheduled.activity_type.name, scheduled.task_queue.name)
        if asked == (names.IDENTIFY_LEDGER_ACTIVITY, self._task_queue):
            self._asked[event_id] = await self._sealed.call_in(scheduled.input) or ""

    async def _completed(self, completed: Any) -> None:
        if call := self._asked.get(completed.scheduled_event_id):
            chain = self._started.first_execution_run_id
            answer = await self._sealed.answer(names.IDENTIFY_LEDGER_ACTIVITY, chain, call, completed.result)
            # What no worker has answered the run did not believe either.
            self._pin_to(answer)

    def _pin_to(self, said: Json) -> None:
        ledger = document(said).get("id")
        if isinstance(ledger, str):
            self.pin = ledger
