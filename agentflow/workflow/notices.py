"""Tells people outside that a run waits for them. The run itself never waits for that."""

import asyncio
from collections.abc import Callable, Sequence

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from agentflow.contracts.approval import ApprovalRequest
from agentflow.contracts.escalation import Escalation
from agentflow.contracts.notice import Notice, NoticeKind, PendingNotice
from agentflow.contracts.wire import Sha256, sha256_of
from agentflow.core.view import approval_details, escalation_details
from agentflow.errors import PayloadTooLargeError
from agentflow.workflow import dispatch
from agentflow.workflow.failures import failure_of
from agentflow.workflow.outgoing import Outgoing

Failed = Callable[[str], None]


class Notices:
    """The notices of one run that are under way."""

    def __init__(self, failed: Failed, outgoing: Outgoing) -> None:
        """Say nothing yet.

        Args:
            failed: Hears why one was not delivered.
            outgoing: Counts what the execution sends.
        """
        self._outgoing = outgoing
        self._failed = failed
        self._under_way: dict[PendingNotice, asyncio.Task[None]] = {}
        self._limit = 0
        self._about: tuple[str, str, Sha256] = ("", "", Sha256(""))
        self.is_on: bool = False
        """Whether the run's workers deliver notices."""

    def begin(self, agent: str, tenant: str, run: Sha256, limit: int) -> None:
        """The run is pinned.

        Args:
            agent: The agent's name.
            tenant: The run's tenant.
            run: Names the run in a notice's id.
            limit: The most bytes that a payload may have.
        """
        self._about, self._limit, self.is_on = (agent, tenant, run), limit, True

    @property
    def undelivered(self) -> tuple[PendingNotice, ...]:
        """What the run's next execution has to say again."""
        return tuple(self._under_way)

    def of_approval(self, kind: NoticeKind, request: ApprovalRequest) -> None:
        """Tell of an approval."""
        if self.is_on:
            text = approval_details(workflow.info().workflow_id, request)
            self._send(self._notice(kind, request.id, text, approval=request))

    def of_escalation(self, escalation: Escalation) -> None:
        """Tell of an escalation."""
        if self.is_on:
            text = escalation_details(workflow.info().workflow_id, escalation)
            self._send(self._notice("escalation.opened", escalation.id, text, escalation=escalation))

    def again(self, pending: Sequence[PendingNotice], requests: Sequence[ApprovalRequest]) -> None:
        """Tell again what an execution before this one could not deliver, and what still waits."""
        waiting = {str(request.id): request for request in requests}
        for notice in pending:
            if notice.subject in waiting:
                self.of_approval(notice.kind, waiting[notice.subject])

    def is_over(self, subject: str) -> None:
        """Nobody needs to hear of it any more."""
        for pending, task in tuple(self._under_way.items()):
            if pending.subject == subject:
                task.cancel()

    def _notice(
        self,
        kind: NoticeKind,
        subject: str,
        text: str,
        *,
        approval: ApprovalRequest | None = None,
        escalation: Escalation | None = None,
    ) -> Notice:
        agent, tenant, run = self._about
        return Notice(
            id=f"notice_{sha256_of([run, kind, subject])[:40]}",
            kind=kind,
            at=workflow.now(),
            workflow_id=workflow.info().workflow_id,
            agent=agent,
            tenant=tenant,
            approval=approval,
            escalation=escalation,
            text=text[:20_000],
        )

    def _send(self, notice: Notice) -> None:
        pending = PendingNotice(kind=notice.kind, subject=notice.subject)
        self._under_way[pending] = asyncio.create_task(self._deliver(pending, notice))

    async def _deliver(self, pending: PendingNotice, notice: Notice) -> None:
        try:
            await dispatch.notify(notice, self._limit, self._outgoing)
        except PayloadTooLargeError as error:
            self._failed(f"{notice.kind} of {notice.subject} was not delivered: {error}")
        except ActivityError as error:
            if not is_cancelled_exception(error):
                why = failure_of(error).message
                self._failed(f"{notice.kind} of {notice.subject} was not delivered: {why}")
        finally:
            del self._under_way[pending]
