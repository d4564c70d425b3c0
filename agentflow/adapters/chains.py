"""Which chain of executions one execution belongs to, by Temporal itself."""

from datetime import timedelta

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

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
