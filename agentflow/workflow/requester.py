"""A run finds out who asked for it, by what came with its start: no activity, no clock."""

from temporalio import workflow

from agentflow.contracts.requester import Requester, RequesterPolicy
from agentflow.core.approval import Refusal
from agentflow.core.requester import Start, as_of_now, requester_of
from agentflow.errors import RunDenied
from agentflow.workflow.run import Run


def requester_of_start(run: Run, policy: RequesterPolicy) -> Requester:
    """Who asked for the run, on record.

    Raises:
        RunDenied: the proof does not hold, or there is none and the worker wants one.
    """
    info = workflow.info()
    start = Start(
        agent=info.workflow_type,
        root=run.manifest.root,
        at=info.workflow_start_time,
        is_first=info.continued_run_id is None,
        headers={name: payload.data for name, payload in info.headers.items()},
    )
    found = requester_of(run.task.given, start, policy)
    if isinstance(found, Refusal):
        run.note("check", False, f"requester: {found.reason}")
        raise RunDenied(f"who asked for the run can't be verified: {found.reason}")
    # The token is judged as of the start; a worker may come to it long after its key was revoked.
    found = as_of_now(found, policy, workflow.now())
    if found.proof is None:
        run.note("check", policy.unverified, f"requester: {found.name} is not verified: {found.detail}")
        if not policy.unverified:
            raise RunDenied(f"who asked for the run is not verified: {found.detail}")
        return found
    by = f"the key {found.kid}" if found.kid else f"the header {policy.header}"
    run.note("check", True, f"requester: {found.name}, verified by {by}")
    return found
