"""What people send a run and ask of it: signals, the ``decide`` update, queries.

Handlers only append and mutate, and the run waits for what they changed. An update waits for its own answer.
"""

from collections.abc import Sequence

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from agentflow.contracts import names
from agentflow.contracts.approval import ApprovalRequest, DecisionReceipt
from agentflow.contracts.attention import Attention
from agentflow.contracts.budget import UsageReport
from agentflow.contracts.escalation import RunStatus
from agentflow.contracts.rules import DecisionRecord
from agentflow.core.approval import Refusal
from agentflow.core.signals import parse_decision
from agentflow.workflow.run import Run


class RunHandlers:
    """The doors of a run. ``AgentWorkflow`` inherits them."""

    _run: Run

    @workflow.signal(
        dynamic=True,
        description="approve | reject: {approval_id, by}; resolve: {action: guide|answer|abort, by, text}; "
        "revoke: {kid, by} or {delegation, by}",
    )
    def on_signal(self, name: str, payloads: Sequence[RawValue]) -> None:
        """Take ``approve``, ``reject``, ``resolve``, ``revoke`` and freezes; record anything else as refused.

        Dynamic, since a named handler with the wrong number of arguments would raise in the workflow
        task and be retried for ever, and an undecodable one would be dropped without a record.
        """
        self._run.signals.put(name, [value.payload.data for value in payloads])

    @workflow.update(name=names.DECIDE_UPDATE)
    async def decide(self, payload: RawValue) -> DecisionReceipt:
        """Approve or reject a pending action, and learn at once whether it counted.

        A well-formed decision that doesn't count is recorded, and fails the update.
        """
        if not self._run.has_begun or self._run.signals.is_waiting:
            # It came with an execution's first task, and what the one before knew is not taken up yet; or
            # signals came before it that have not been taken.
            await workflow.wait_condition(lambda: self._run.has_begun and not self._run.signals.is_waiting)
        decision = parse_decision((payload.payload.data,))
        judged = decision if isinstance(decision, Refusal) else await self._run.people.decide(decision)
        self._run.show()
        if isinstance(judged, Refusal):
            raise ApplicationError(judged.reason, type="DecisionRefused", non_retryable=True)
        return judged

    @decide.validator
    def _check_decide(self, payload: RawValue) -> None:
        """Turn a malformed decision away before it is in history."""
        decision = parse_decision((payload.payload.data,))
        if isinstance(decision, Refusal):
            raise ApplicationError(decision.reason, type="DecisionMalformed", non_retryable=True)

    @workflow.update(
        name=names.AWAIT_ATTENTION_UPDATE, unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON
    )
    async def await_attention(self) -> Attention:
        """Answer as soon as the run waits for people, or has ended. With it, one call starts and waits."""
        return await self._run.attention()

    @workflow.query(name=names.STATUS_QUERY)
    def status(self) -> RunStatus:
        """Where the run stands."""
        return self._run.status()

    @workflow.query(name=names.PENDING_APPROVALS_QUERY)
    def pending_approvals(self) -> list[ApprovalRequest]:
        """Actions that wait for people, the oldest first."""
        return [pending.shown() for pending in self._run.people.approvals.pending]

    @workflow.query(name=names.USAGE_QUERY)
    def usage(self) -> UsageReport:
        """What the run may spend and has spent."""
        return self._run.purse.report()

    @workflow.query(name=names.DECISIONS_QUERY)
    def decisions(self) -> list[DecisionRecord]:
        """What rules and people decided, refused decisions included, the oldest first.

        Of very many, the first line says how many are left out.
        """
        return list(self._run.decision_log.shown())
