"""The door to identity: who is it that decides?"""

from collections.abc import Awaitable
from datetime import datetime
from typing import Protocol

from agentflow.contracts.approval import ApprovalDecision, ApprovalRequest, Approver
from agentflow.contracts.escalation import Escalation, Resolution
from agentflow.contracts.identity import ApproverKey
from agentflow.contracts.wire import Sha256
from agentflow.core.approval import Refusal, Verdict


class ApproverVerifier(Protocol):
    """Establishes who sent what.

    The library's own are pure and run in workflow code. One of an agent's own runs in a local activity,
    within a time limit, so that it may ask a directory. Its methods may be coroutine functions. What it
    answers is recorded, and anything but an ``Approver`` or a ``Refusal`` counts for nobody.
    """

    method: str
    """Shown to people, in logs and in records: ``trusted``, ``signed``, or another name of your own."""

    def verify(
        self,
        decision: ApprovalDecision,
        verdict: Verdict,
        request: ApprovalRequest,
        run: Sha256,
        now: datetime,
    ) -> Approver | Refusal | Awaitable[Approver | Refusal]:
        """The person who decided, or why the identity does not hold.

        Args:
            decision: The payload.
            verdict: What they say: of a signal it is in the name.
            request: The pending action. What was said of another says nothing of this one.
            run: Names the run. What counts for one run must not count for another.
            now: When the decision came: by the run's clock or, where the run heard of it late, by the
                server's.
        """
        ...

    def verify_resolution(
        self, resolution: Resolution, escalation: Escalation, run: Sha256, now: datetime
    ) -> Approver | Refusal | Awaitable[Approver | Refusal]:
        """The person who answered an escalation, or why the identity does not hold."""
        ...


class ApproverSource(Protocol):
    """Where a worker has the approvers' keys from. Asked for each run as it begins, and as it continues."""

    async def keys(self) -> tuple[ApproverKey, ...]:
        """The keys that decisions are signed with.

        Raises:
            ConfigurationError: they can't be told; then no run begins.
        """
        ...
