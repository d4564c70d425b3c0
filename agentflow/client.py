"""``AgentClient``: start runs, and answer them. A convenience: a plain Temporal client does as well."""

from datetime import timedelta
from typing import Any, TypeVar, cast
from uuid import uuid4

from temporalio.client import Client, WithStartWorkflowOperation, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError

from agentflow.adapters.signer import Signer
from agentflow.contracts import names
from agentflow.contracts.approval import ApprovalDecision, ApprovalRequest, DecisionReceipt
from agentflow.contracts.attention import Attention
from agentflow.contracts.budget import UsageReport
from agentflow.contracts.escalation import Resolution, RunStatus
from agentflow.contracts.outcome import AgentOutcome
from agentflow.contracts.rules import DecisionRecord
from agentflow.contracts.task import AgentTask
from agentflow.contracts.wire import ApprovalId, Sha256
from agentflow.errors import ConfigurationError, DecisionRefusedError
from agentflow.workflow.definition import workflow_type_of

OutputT = TypeVar("OutputT")

RPC_TIMEOUT = timedelta(seconds=15)


class AgentClient:
    """Talks to runs through a Temporal client that was connected with ``AgentflowPlugin``."""

    def __init__(self, client: Client) -> None:
        self.temporal = client

    async def start(
        self,
        workflow: type | str,
        task: AgentTask[Any],
        *,
        task_queue: str,
        workflow_id: str | None = None,
        signer: Signer | None = None,
    ) -> str:
        """Start a run and answer its workflow id.

        Args:
            workflow: The ``AgentWorkflow`` subclass, or its workflow type.
            task: What it starts with.
            task_queue: Where its workers listen.
            workflow_id: Choose one that names the business case, so that it can't be started twice;
                a random one by default.
            signer: Signs the start, where the worker wants to know who asked for it.

        Raises:
            ConfigurationError: a name in the task can't be one.
            temporalio.exceptions.WorkflowAlreadyStartedError: the id is taken by a running workflow.
        """
        name = _type_name(workflow)
        run = workflow_id or f"{name}-{uuid4()}"
        handle = await self.temporal.start_workflow(
            name,
            self._ready(name, task, run, signer),
            id=run,
            task_queue=task_queue,
            rpc_timeout=RPC_TIMEOUT,
        )
        return handle.id

    async def start_and_wait(
        self,
        workflow: type | str,
        task: AgentTask[Any],
        *,
        task_queue: str,
        workflow_id: str,
        signer: Signer | None = None,
    ) -> Attention:
        """Start a run, and wait until it needs people or has ended: one call of a service without a state.

        Called again with the same ``workflow_id`` while the run is open, it starts nothing, and waits for
        the same run. Bound the wait with ``asyncio.timeout``: the run goes on.

        Args:
            workflow: The ``AgentWorkflow`` subclass, or its workflow type.
            task: What it starts with.
            task_queue: Where its workers listen.
            workflow_id: Names the business case.
            signer: Signs the start, where the worker wants to know who asked for it.

        Raises:
            ConfigurationError: a name in the task can't be one.
            temporalio.exceptions.WorkflowAlreadyStartedError: the run of that id has ended: see ``result``.
        """
        name = _type_name(workflow)
        start: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
            name,
            self._ready(name, task, workflow_id, signer),
            id=workflow_id,
            task_queue=task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        )
        try:
            return await self.temporal.execute_update_with_start_workflow(  # pyright: ignore[reportUnknownMemberType]
                names.AWAIT_ATTENTION_UPDATE, start_workflow_operation=start, result_type=Attention
            )
        except WorkflowUpdateFailedError as error:
            if not _went_on(error):
                raise
        return await self.attention(workflow_id)

    async def attention(self, workflow_id: str) -> Attention:
        """Wait until an open run needs people or has ended. Bound the wait with ``asyncio.timeout``."""
        while True:
            try:
                return await self._handle(workflow_id).execute_update(  # pyright: ignore[reportUnknownMemberType]
                    names.AWAIT_ATTENTION_UPDATE, result_type=Attention
                )
            except WorkflowUpdateFailedError as error:
                if not _went_on(error):
                    raise

    async def result(self, workflow_id: str, output_type: type[OutputT]) -> AgentOutcome[OutputT]:
        """Wait for a run's end.

        Raises:
            temporalio.client.WorkflowFailureError: the run failed: its task was malformed, or the agent
                has a bug.
        """
        outcome = AgentOutcome[output_type]  # type: ignore[valid-type]
        handle = self.temporal.get_workflow_handle(workflow_id, result_type=outcome)
        return cast(AgentOutcome[OutputT], await handle.result())

    async def status(self, workflow_id: str) -> RunStatus:
        """Where a run stands."""
        return await self._handle(workflow_id).query(
            names.STATUS_QUERY, result_type=RunStatus, rpc_timeout=RPC_TIMEOUT
        )

    async def usage(self, workflow_id: str) -> UsageReport:
        """What a run may spend and has spent."""
        return await self._handle(workflow_id).query(
            names.USAGE_QUERY, result_type=UsageReport, rpc_timeout=RPC_TIMEOUT
        )

    async def pending_approvals(self, workflow_id: str) -> list[ApprovalRequest]:
        """Actions of a run that wait for people."""
        return await self._handle(workflow_id).query(
            names.PENDING_APPROVALS_QUERY, result_type=list[ApprovalRequest], rpc_timeout=RPC_TIMEOUT
        )

    async def decisions(self, workflow_id: str) -> list[DecisionRecord]:
        """What rules and people decided in a run."""
        return await self._handle(workflow_id).query(
            names.DECISIONS_QUERY, result_type=list[DecisionRecord], rpc_timeout=RPC_TIMEOUT
        )

    async def approve(
        self,
        workflow_id: str,
        approval_id: str,
        *,
        by: str,
        arguments_hash: Sha256 | None = None,
        roles: tuple[str, ...] = (),
        reason: str = "",
    ) -> DecisionReceipt:
        """Approve a pending action. Give the ``arguments_hash`` you looked at: it binds you to no other.

        Raises:
            DecisionRefusedError: it did not count.
        """
        decision = ApprovalDecision(
            approval_id=ApprovalId(approval_id),
            by=by,
            arguments_hash=arguments_hash,
            roles=roles,
            reason=reason,
            verdict="approve",
        )
        return await self.decide(workflow_id, decision)

    async def reject(
        self, workflow_id: str, approval_id: str, *, by: str, reason: str = ""
    ) -> DecisionReceipt:
        """Reject a pending action.

        Raises:
            DecisionRefusedError: it did not count.
        """
        decision = ApprovalDecision(
            approval_id=ApprovalId(approval_id), by=by, reason=reason, verdict="reject"
        )
        return await self.decide(workflow_id, decision)

    async def decide(self, workflow_id: str, decision: ApprovalDecision) -> DecisionReceipt:
        """Send a decision through the ``decide`` update.

        Raises:
            DecisionRefusedError: it did not count.
        """
        try:
            return await self._handle(workflow_id).execute_update(  # pyright: ignore[reportUnknownMemberType]
                names.DECIDE_UPDATE, decision, result_type=DecisionReceipt, rpc_timeout=RPC_TIMEOUT
            )
        except WorkflowUpdateFailedError as error:
            raise DecisionRefusedError(_reason(error.cause)) from error

    async def resolve(self, workflow_id: str, resolution: Resolution) -> None:
        """Answer an escalation. Whether it counted shows in ``status`` and ``decisions``."""
        await self._handle(workflow_id).signal(names.RESOLVE_SIGNAL, resolution, rpc_timeout=RPC_TIMEOUT)

    async def cancel(self, workflow_id: str) -> None:
        """Ask a run to stop; its outcome is ``cancelled``."""
        await self._handle(workflow_id).cancel(rpc_timeout=RPC_TIMEOUT)

    def _ready(
        self, workflow_type: str, task: AgentTask[Any], workflow_id: str, signer: Signer | None
    ) -> AgentTask[Any]:
        """A task as it is sent."""
        if fault := task.name_fault:
            raise ConfigurationError(f"nothing was started: {fault}")
        if signer is None:
            return task
        return signer.start(workflow_type, task, namespace=self.temporal.namespace, workflow_id=workflow_id)

    def _handle(self, workflow_id: str) -> WorkflowHandle[Any, Any]:
        return self.temporal.get_workflow_handle(workflow_id)


def _type_name(workflow: type | str) -> str:
    return workflow if isinstance(workflow, str) else workflow_type_of(workflow) or workflow.__name__


def _went_on(error: WorkflowUpdateFailedError) -> bool:
    """Whether an update was lost as its execution continued as new: the next one takes it."""
    cause = error.cause
    return isinstance(cause, ApplicationError) and cause.type == "AcceptedUpdateCompletedWorkflow"


def _reason(cause: BaseException) -> str:
    """The refusal's own words; as a string the error would begin with its type."""
    return cause.message if isinstance(cause, ApplicationError) else str(cause)
