"""The ``find_arrivals`` activity: a run asks its own history when the server took what people sent.

History is read from its end, where these signals are, and as far as the bounds go: whoever may signal a run
could send as many signals, and as long ones, as Temporal takes.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, timedelta

from temporalio import activity
from temporalio.api.common.v1 import Payload, WorkflowExecution
from temporalio.api.enums.v1 import WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryReverseRequest
from temporalio.client import Client
from temporalio.common import RawValue
from temporalio.service import RPCError, RPCStatusCode

from agentflow.contracts.arrival import ArrivalInquiry, Arrivals
from agentflow.contracts.wire import Sha256
from agentflow.core.arrival import SignalEvent, as_first_sent, content_of, times_of

READ_TIME = timedelta(seconds=20)
"""For all pages together."""
MAX_EVENTS = 60_000
"""Of all histories together; Temporal ends an execution at 51,200."""
MAX_BYTES = 64 * 1024 * 1024
"""Of the same; Temporal ends an execution at 50 MB."""
MAX_RESETS = 8
"""Executions that a run was reset from, one from the other."""

_PAGE = 250
_PAGE_TIME = timedelta(seconds=5)


async def find_arrivals(inquiry: ArrivalInquiry) -> Arrivals:
    """When signals of the run that the activity is of came, read through the worker's client.

    Raises:
        RPCError: Temporal can't be reached.
    """
    info = activity.info()
    names = frozenset(one.name for one in inquiry.sought)
    reader = _Reader(activity.client(), info.workflow_id or "", names)
    try:
        async with asyncio.timeout(READ_TIME.total_seconds()):
            signals = await reader.signals(
                info.workflow_run_id or "", inquiry.after_event, inquiry.until_event
            )
    except TimeoutError:
        return Arrivals(problem=f"reading history took longer than {READ_TIME.total_seconds():g} s")
    except _TooMuchHistoryError as error:
        return Arrivals(problem=str(error))
    return Arrivals(at=times_of(inquiry.sought, signals))


class _TooMuchHistoryError(Exception):
    """The bounds were reached before all was read."""


class _Reader:
    """Reads the signals of some names from one run's histories, within one bound for all of them."""

    def __init__(self, client: Client, workflow_id: str, names: frozenset[str]) -> None:
        self._client = client
        self._workflow_id = workflow_id
        self._names = names
        self._events_left = MAX_EVENTS
        self._bytes_left = MAX_BYTES
        self._resets_left = MAX_RESETS

    async def signals(self, run_id: str, after: int, until: int | None = None) -> list[SignalEvent]:
        """The signals of an execution, as they were first sent, in order.

        Args:
            run_id: Of the execution.
            after: Event id; those up to here are left out.
            until: Event id of the last one that may be among them.

        Raises:
            _TooMuchHistoryError: there is more to read than the bounds allow.
            RPCError: Temporal can't be reached.
        """
        found: list[SignalEvent] = []
        resets: list[tuple[int, str]] = []
        async for event in self._backwards(run_id, after):
            if until is not None and event.event_id > until:
                continue
            if (signal := await self._signal(event)) is not None:
                found.append(signal)
            elif (base := reset_from(event)) is not None:
                resets.append((event.event_id, base))
        found.reverse()
        for at, base in resets:
            found = await self._before_reset(found, at, base)
        return found

    async def _before_reset(self, signals: list[SignalEvent], at: int, base: str) -> list[SignalEvent]:
        """The same with the times of before a reset, if the execution that was reset is still kept."""
        if not self._resets_left:
            raise _TooMuchHistoryError(f"the run was reset more than {MAX_RESETS} times")
        self._resets_left -= 1
        try:
            # Both histories are the same up to the task that the reset ended.
            before = await self.signals(base, at - 1)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return signals
        earlier = [signal for signal in signals if signal.id < at]
        return [*earlier, *as_first_sent([each for each in signals if each.id > at], before)]

    async def _backwards(self, run_id: str, after: int) -> AsyncIterator[HistoryEvent]:
        request = GetWorkflowExecutionHistoryReverseRequest(
            namespace=self._client.namespace,
            execution=WorkflowExecution(workflow_id=self._workflow_id, run_id=run_id),
            maximum_page_size=_PAGE,
        )
        while True:
            page = await self._client.workflow_service.get_workflow_execution_history_reverse(
                request, retry=True, timeout=_PAGE_TIME
            )
            for event in page.history.events:
                if event.event_id <= after:
                    return
                self._count(event)
                yield event
            if not page.next_page_token:
                return
            request.next_page_token = page.next_page_token

    def _count(self, event: HistoryEvent) -> None:
        self._events_left -= 1
        self._bytes_left -= event.ByteSize()
        if self._events_left < 0 or self._bytes_left < 0:
            raise _TooMuchHistoryError(
                f"there is more history to read than {MAX_EVENTS} events or {MAX_BYTES} bytes"
            )

    async def _signal(self, event: HistoryEvent) -> SignalEvent | None:
        if event.WhichOneof("attributes") != "workflow_execution_signaled_event_attributes":
            return None
        signaled = event.workflow_execution_signaled_event_attributes
        if signaled.signal_name not in self._names:
            return None
        content = await self._content(signaled.input.payloads)
        if content is None:
            return None
        at = event.event_time.ToDatetime(UTC)
        return SignalEvent(event.event_id, at, signaled.signal_name, content)

    async def _content(self, payloads: Sequence[Payload]) -> Sha256 | None:
        """What the run saw of a signal; ``None`` where it can't be decoded, and so was seen by no run."""
        try:
            decoded: list[RawValue] = await self._client.data_converter.decode(
                payloads, [RawValue] * len(payloads)
            )
        except Exception:
            # Codecs are others' code, and what they are given here is anybody's.
            return None
        return content_of([value.payload.data for value in decoded])


def reset_from(event: HistoryEvent) -> str | None:
    """The run id of the execution that was reset to here, if that is what the event says."""
    failed = event.workflow_task_failed_event_attributes
    is_reset = failed.cause == WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW
    return (failed.base_run_id or None) if is_reset else None
