"""The executions of a run: one history for each, as far as Temporal still has them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from temporalio.api.enums.v1 import ContinueAsNewInitiator
from temporalio.api.history.v1 import WorkflowExecutionStartedEventAttributes
from temporalio.client import Client, WorkflowHistory
from temporalio.service import RPCError, RPCStatusCode

from agentflow.core.idempotency import chain_of

MAX_EXECUTIONS = 1_000
_BY_CRON = ContinueAsNewInitiator.CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE


@dataclass(frozen=True)
class Execution:
    """One execution of a run."""

    run_id: str
    history: WorkflowHistory | None
    """``None`` where Temporal no longer keeps it."""


class Histories:
    """Histories that were read, for whoever looks again: what has not grown since is not read again."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._read: dict[str, WorkflowHistory] = {}

    async def of(self, workflow_id: str, run_id: str | None = None) -> list[Execution]:
        """The executions of a run, the first one first.

        Where the first ones have expired, the latest that is missing stands for them all.

        Args:
            workflow_id: The run's.
            run_id: Of its last execution, where another run has taken the workflow id since.

        Raises:
            temporalio.service.RPCError: there is no such run, or the server can't be reached.
        """
        described = await self._client.get_workflow_handle(workflow_id, run_id=run_id).describe()
        run_id, length = described.run_id, described.history_length
        found: list[Execution] = []
        while run_id and len(found) < MAX_EXECUTIONS:
            history = await self._history(workflow_id, run_id, length)
            found.append(Execution(run_id, history))
            if history is None:
                break
            # Only the latest one grows.
            run_id, length = goes_on_from(started(history)), 0
        found.reverse()
        # The one that was named may not have been the last.
        while (run_id := _next_run(found[-1])) and len(found) < MAX_EXECUTIONS:
            found.append(Execution(run_id, await self._history(workflow_id, run_id, 0)))
        return found

    async def _history(self, workflow_id: str, run_id: str, length: int) -> WorkflowHistory | None:
        history = self._read.get(run_id)
        if history is None or len(history.events) < length:
            handle = self._client.get_workflow_handle(workflow_id, run_id=run_id)
            try:
                history = await handle.fetch_history()
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
                return None
            self._read[run_id] = history
        return history


def _next_run(execution: Execution) -> str:
    if execution.history is None:
        return ""
    continued = execution.history.events[-1].workflow_execution_continued_as_new_event_attributes
    return "" if continued.initiator == _BY_CRON else continued.new_execution_run_id


def runs_in(histories: Iterable[WorkflowHistory]) -> Mapping[str, list[Execution]]:
    """Histories from files, sorted into runs: by workflow id, the first execution first.

    An execution that another names and that isn't among them is missing.
    """
    by_id: dict[str, dict[str, WorkflowHistory]] = {}
    for history in histories:
        own = started(history)
        name = own.workflow_id or history.workflow_id
        by_id.setdefault(name, {})[own.original_execution_run_id or name] = history
    return {name: _in_order(executions) for name, executions in by_id.items()}


def _in_order(executions: Mapping[str, WorkflowHistory]) -> list[Execution]:
    ones_before = {run_id: goes_on_from(started(history)) for run_id, history in executions.items()}
    ordered: list[Execution] = []
    # From each latest execution back to its first.
    for last in sorted(set(executions) - set(ones_before.values())):
        chain: list[Execution] = []
        run_id = last
        while run_id:
            chain.append(Execution(run_id, executions.get(run_id)))
            run_id = ones_before.get(run_id, "")
        ordered += chain[::-1]
    return ordered


def goes_on_from(start: WorkflowExecutionStartedEventAttributes) -> str:
    """The run id of the execution that one goes on with the run of; empty if it begins a run.

    Each execution of a cron schedule begins a run of its own, though Temporal says which one was before it.
    """
    return "" if start.initiator == _BY_CRON else start.continued_execution_run_id


def run_begun_by(start: WorkflowExecutionStartedEventAttributes) -> str:
    """Which run of its workflow id an execution is of: ``core.idempotency.chain_of``."""
    return chain_of(
        start.first_execution_run_id,
        start.original_execution_run_id,
        is_cron=begun_by_cron(start),
    )


def begun_by_cron(start: WorkflowExecutionStartedEventAttributes) -> bool:
    """Whether an execution is one of a cron schedule's, and so begins a run of its own."""
    return start.initiator == _BY_CRON or bool(start.cron_schedule)


def started(history: WorkflowHistory) -> WorkflowExecutionStartedEventAttributes:
    """What the execution was started with, as its first event says."""
    return history.events[0].workflow_execution_started_event_attributes
