"""What Temporal's server says, for who must not go by a worker's clock: its time, and when runs closed."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from agentflow.contracts.effects import EffectRecord

_PATIENCE = timedelta(seconds=10)
_MOST_RUNS = 10_000
_MOST_RESETS = 100
"""Of one execution, one after the other; who was reset more often is kept."""


async def server_time(client: Client, task_queue: str) -> datetime | None:
    """The time by Temporal's server when a worker last asked it for a task: some seconds to a minute ago.

    No call of Temporal's answers its time, but that is on record for each poller of a task queue.

    Args:
        client: Of a worker, which may describe what it polls.
        task_queue: The worker's.

    Returns:
        ``None`` where the server tells of no poller: none has come yet, or the worker may not ask.
    """
    seen: list[datetime] = []
    for kind in (TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY):
        request = DescribeTaskQueueRequest(
            namespace=client.namespace, task_queue=TaskQueue(name=task_queue), task_queue_type=kind
        )
        try:
            answer = await client.workflow_service.describe_task_queue(request, timeout=_PATIENCE)
        except RPCError:
            continue
        seen += [each.last_access_time.ToDatetime(UTC) for each in answer.pollers]
    return max(seen, default=None)


class RunNeeds:
    """Which records of a ledger a run may still come back to, by the server's word on it."""

    def __init__(self, client: Client, before: datetime) -> None:
        """Look runs up in the client's namespace.

        Args:
            client: Of a worker.
            before: A run that closed before this, by the server's clock, needs nothing any more.
        """
        self._client = client
        self._before = before
        self._known: dict[tuple[str, str | None], _Known] = {}

    async def may_need(self, record: EffectRecord) -> bool:
        """Whether a run of the record's workflow id is open, or one that may come back to it closed lately.

        That is the execution that wrote it, those that it was reset to, and the last execution of the
        workflow id if it is of the same chain. What isn't there has no history to be reset to. An open run
        needs the records of earlier runs of its workflow id too: they keep it from repeating their writes.

        Raises:
            temporalio.service.RPCError: the server can't tell now.
        """
        if not record.workflow_id:
            return False
        last = await self._execution(record.workflow_id, None)
        if last.is_open or (last.is_recent and record.chain == last.chain):
            # Of an earlier run only how it stands counts: a workflow id may be used again every day.
            return True
        run_id: str | None = record.run_id
        for _ in range(_MOST_RESETS):
            if not run_id:
                return False
            known = await self._execution(record.workflow_id, run_id)
            if known.is_open or known.is_recent:
                return True
            run_id = known.reset_to
        return True

    async def _execution(self, workflow_id: str, run_id: str | None) -> "_Known":
        place = (workflow_id, run_id)
        if place not in self._known:
            if len(self._known) >= _MOST_RUNS:
                self._known.clear()
            self._known[place] = await self._looked_up(workflow_id, run_id)
        return self._known[place]

    async def _looked_up(self, workflow_id: str, run_id: str | None) -> "_Known":
        """How an execution stands; ``None`` is the last one of the workflow id."""
        handle = self._client.get_workflow_handle(workflow_id, run_id=run_id)
        try:
            described = await handle.describe(rpc_timeout=_PATIENCE)
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return _Known()
            if error.status == RPCStatusCode.INVALID_ARGUMENT:
                # An id that Temporal can't have given: whose it is, nobody knows.
                return _Known(is_open=True)
            raise
        closed, raw = described.close_time, described.raw_description
        return _Known(
            is_open=closed is None,
            is_recent=closed is not None and closed >= self._before,
            chain=raw.workflow_execution_info.first_run_id,
            reset_to=raw.workflow_extended_info.reset_run_id,
        )


@dataclass(frozen=True)
class _Known:
    """How an execution stands."""

    is_open: bool = False
    is_recent: bool = False
    """Whether it closed lately."""
    chain: str = ""
    """The run id of the first execution of its chain."""
    reset_to: str = ""
    """The run id of the execution that it was reset to."""
