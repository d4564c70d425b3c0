"""The door to identity: who is it that approves?"""

from typing import Protocol

from agentflow.contracts.approval import ApprovalDecision, Approver


class ApproverVerifier(Protocol):
    """Establishes who sent a decision. Called in workflow code, so it is pure: no I/O, no clock."""

    method: str
    """Shown in logs and records: ``trusted`` or ``signed``."""

    def verify(self, decision: ApprovalDecision) -> Approver | None:
        """The person, or ``None`` when the identity does not hold."""
        ...
