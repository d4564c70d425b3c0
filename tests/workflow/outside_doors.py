"""What anybody who reaches Temporal can do to a run and to its activities, for the tests."""

import base64
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio.api.common.v1 import Payload, WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import ActivityFailureError, AsyncActivityHandle, WorkflowFailureError
from temporalio.common import RetryPolicy, WorkflowIDConflictPolicy
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.worker import Worker

from tests.workflow.harness import Harness
from tests.workflow.strangers import Order, Stranger


async def alone(bank: Harness, activity: str, argument: Any) -> Exception:
    """Start an activity by itself, as ``temporal activity start`` does; the refusal."""
    with pytest.raises(ActivityFailureError) as caught:
        await bank.client.execute_activity(
            activity,
            argument,
            id=f"alone-{uuid4()}",
            task_queue=bank.task_queue,
            start_to_close_timeout=timedelta(seconds=10),
            retry_policy=RetryPolicy(maximum_attempts=1),
        )
    cause = caught.value.cause
    assert isinstance(cause, ApplicationError)
    return cause


async def ordered(bank: Harness, activity: str, payload: Payload, workflow_id: str) -> ApplicationError:
    """Let a workflow of one's own, on a worker of one's own, schedule an activity; the refusal."""
    async with Worker(bank.client, task_queue=f"stranger-{workflow_id}", workflows=[Stranger]):
        handle = await bank.client.start_workflow(
            Stranger.run,
            Order(activity, bank.task_queue, base64.b64encode(payload.SerializeToString()).decode()),
            id=workflow_id,
            task_queue=f"stranger-{workflow_id}",
            id_conflict_policy=WorkflowIDConflictPolicy.TERMINATE_EXISTING,
        )
        with pytest.raises(WorkflowFailureError) as caught:
            await handle.result()
    failed = caught.value.cause
    assert isinstance(failed, ActivityError)
    assert isinstance(failed.cause, ApplicationError)
    return failed.cause


async def pending_activity(bank: Harness, handle: Any) -> AsyncActivityHandle:
    """The activity under way, as whoever reaches Temporal can get at it."""
    (pending,) = (await handle.describe()).raw_description.pending_activities
    return bank.client.get_async_activity_handle(
        workflow_id=handle.id, run_id=handle.first_execution_run_id or "", activity_id=pending.activity_id
    )


async def reset_to(bank: Harness, workflow_id: str, run_id: str, workflow_task_completed: int) -> str:
    """Reset an execution to the end of a workflow task; the new one's run id."""
    answered = await bank.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=bank.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id),
            reason="test",
            workflow_task_finish_event_id=workflow_task_completed,
            request_id=str(uuid4()),
        )
    )
    return answered.run_id
