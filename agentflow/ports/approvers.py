"""The door to identity: who is it that decides?"""

from datetime import datetime
from typing import Protocol

from agentflow.contracts.approval import ApprovalDecision, Approver
from agentflow.contracts.escalation import Escalation, Resolution
from agentflow.contracts.identity import ApproverKey
from agentflow.contracts.wire import Sha256
from agentflow.core.approval import Refusal, Verdict


class ApproverVerifier(Protocol):
    """Establishes who sent what. Called in workflow code, so it is pure: no I/O, no clock."""

    method: str
    """Shown to people, in logs and in records: ``trusted``, ``signed``, or a name of your own."""

    def verify(
        self, decision: ApprovalDecision, verdict: Verdict, run: Sha256, now: datetime
    ) -> Approver | Refusal:
        """The person who decided, or why the identity does not hold.

        Args:
            decision: The payload.
            verdict: What they say: of a signal it is in the name.
            run: Names the run. What counts for one run must not count for another.
            now: The run's clock.
        """
        ...

    def verify_resolution(
        self, resolution: Resolution, escalation: Escalation, run: Sha256, now: datetime
    ) -> str | Refusal:
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
