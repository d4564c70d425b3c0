"""Which chain of executions one execution belongs to, and which run it is of, by Temporal itself."""

from datetime import timedelta

from temporalio.api.enums.v1 import ContinueAsNewInitiator
from temporalio.api.history.v1 import WorkflowExecutionStartedEventAttributes
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from agentflow.adapters.history.executions import run_begun_by

_PATIENCE = timedelta(seconds=5)


async def first_run_of(client: Client, workflow_id: str, run_id: str) -> str | None:
    """The run id of the first execution of an execution's chain; ``None`` if there is no such execution.

    It stays the same through continue-as-new and resets.

    Raises:
        temporalio.service.RPCError: the server can't tell now.
    """
    handle = client.get_workflow_handle(workflow_id, run_id=run_id)
    try:
        described = await handle.describe(rpc_timeout=_PATIENCE)
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return None
        raise
    return described.raw_description.workflow_execution_info.first_run_id or None


async def run_of(client: Client, workflow_id: str) -> str:
    """Which run of its workflow id the last execution is of: ``core.idempotency.chain_of``.

    Raises:
        temporalio.service.RPCError: the server can't tell, now or any more.
    """
    described = await client.get_workflow_handle(workflow_id).describe(rpc_timeout=_PATIENCE)
    run_id: str = described.run_id
    while True:
        started = await _started(client, workflow_id, run_id)
        if started.initiator != ContinueAsNewInitiator.CONTINUE_AS_NEW_INITIATOR_WORKFLOW:
            break
        # That an execution was begun by a cron schedule its continuation does not say.
        run_id = started.continued_execution_run_id
    return run_begun_by(started)


async def _started(client: Client, workflow_id: str, run_id: str) -> WorkflowExecutionStartedEventAttributes:
    events = client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history_events(page_size=1)
    async for event in events:
        return event.workflow_execution_started_event_attributes
    raise RPCError(f"the history of {workflow_id} has no first event", RPCStatusCode.NOT_FOUND, b"")
