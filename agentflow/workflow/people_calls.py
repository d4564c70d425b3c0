"""The activities that a run asks about what people sent: by whom it was, and when it came."""

from datetime import timedelta

from temporalio.common import RetryPolicy

from agentflow.contracts.arrival import ArrivalInquiry, Arrivals
from agentflow.contracts.names import FIND_ARRIVALS_ACTIVITY, VERIFY_APPROVER_ACTIVITY
from agentflow.contracts.verification import Verification, VerificationRequest
from agentflow.workflow.sealed_calls import Call, CallNames, as_sent, execute, patient
from agentflow.workflow.sealing import LIFETIME


async def verify_approver(calls: CallNames, request: VerificationRequest) -> Verification:
    """Ask the agent's own verifier who sent something.

    No local activity: what ends after one, a timer or a notice, may have begun in the same workflow task in a
    replay, and in an earlier one in the run.

    Raises:
        ActivityError: no worker could ask it.
    """
    return await execute(
        calls,
        Call(
            VERIFY_APPROVER_ACTIVITY,
            calls.name("person"),
            as_sent(request),
            Verification,
            RetryPolicy(maximum_attempts=2),
        ),
        start_to_close_timeout=timedelta(seconds=9),
        schedule_to_close_timeout=timedelta(seconds=30),
        summary="who is it?",
    )


async def find_arrivals(calls: CallNames, inquiry: ArrivalInquiry) -> Arrivals:
    """Ask the run's own history when signals came.

    No local activity: it may read for longer than a workflow task has, and its answer counts only under a
    worker's seal.

    Raises:
        ActivityError: no worker could read it.
    """
    return await execute(
        calls,
        Call(
            FIND_ARRIVALS_ACTIVITY,
            calls.name("arrivals", inquiry.model_dump(mode="json")),
            as_sent(inquiry),
            Arrivals,
            patient(),
        ),
        start_to_close_timeout=timedelta(seconds=30),
        # The workers that were away may be away again.
        schedule_to_close_timeout=LIFETIME,
        summary="when did it come?",
    )
