"""The verifier of the first days: it believes the stated name, and says so."""

from agentflow.contracts.approval import ApprovalDecision, Approver


class TrustedApprovers:
    """Takes the stated name and roles as they are. Whoever may send a signal may approve."""

    method = "trusted"

    def verify(self, decision: ApprovalDecision) -> Approver | None:
        """The person by the stated name; ``None`` for a name of spaces."""
        subject = " ".join(decision.by.split())
        return Approver(subject=subject, roles=decision.roles, method=self.method) if subject else None
