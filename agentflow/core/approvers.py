"""The verifier of the first days: it believes the stated name, and says so."""

from datetime import datetime

from agentflow.contracts.approval import ApprovalDecision, Approver
from agentflow.contracts.escalation import Escalation, Resolution
from agentflow.contracts.wire import Sha256
from agentflow.core.approval import Refusal, Verdict


class TrustedApprovers:
    """Takes the stated name and roles as they are. Whoever may send a signal may approve."""

    method = "trusted"

    def verify(
        self, decision: ApprovalDecision, verdict: Verdict, run: Sha256, now: datetime
    ) -> Approver | Refusal:
        """The person by the stated name."""
        subject = " ".join(decision.by.split())
        return Approver(subject=subject, roles=decision.roles, method=self.method)

    def verify_resolution(
        self, resolution: Resolution, escalation: Escalation, run: Sha256, now: datetime
    ) -> str | Refusal:
        """The person by the stated name."""
        return resolution.by
