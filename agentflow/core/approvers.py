"""The verifier of the first days: it believes the stated name, and says so."""

from datetime import datetime

from agentflow.contracts.approval import ApprovalDecision, ApprovalRequest, Approver
from agentflow.contracts.escalation import Escalation, Resolution
from agentflow.contracts.wire import Sha256
from agentflow.core.approval import Refusal, Verdict


class TrustedApprovers:
    """Takes the stated name and roles as they are. Whoever may send a signal may approve."""

    method = "trusted"

    def verify(
        self,
        decision: ApprovalDecision,
        verdict: Verdict,
        request: ApprovalRequest,
        run: Sha256,
        now: datetime,
    ) -> Approver | Refusal:
        """The person by the stated name, unless it is nothing but spaces."""
        return self._believed(decision.by, decision.roles)

    def verify_resolution(
        self, resolution: Resolution, escalation: Escalation, run: Sha256, now: datetime
    ) -> Approver | Refusal:
        """The person by the stated name, unless it is nothing but spaces."""
        return self._believed(resolution.by, resolution.roles)

    def _believed(self, name: str, roles: tuple[str, ...]) -> Approver | Refusal:
        subject = " ".join(name.split())
        if not subject:
            return Refusal("the decision names nobody")
        return Approver(subject=subject, roles=roles, method=self.method)
