"""What an agent's own verifier is asked, and what it may answer."""

from datetime import datetime
from typing import Self

from pydantic import Field, model_validator

from agentflow.contracts.approval import ApprovalDecision, ApprovalRequest, Approver
from agentflow.contracts.escalation import Escalation, Resolution
from agentflow.contracts.wire import Contract, Sha256, is_none


class VerificationRequest(Contract):
    """Who sent this? The argument of the ``verify_approver`` activity."""

    agent: str
    run: Sha256
    now: datetime
    """When it came: by the run's clock or, where the run heard of it late, by the server's."""
    verdict: str | None = Field(default=None, exclude_if=is_none)
    decision: ApprovalDecision | None = Field(default=None, exclude_if=is_none)
    request: ApprovalRequest | None = Field(default=None, exclude_if=is_none)
    """The pending action that the decision names."""
    resolution: Resolution | None = Field(default=None, exclude_if=is_none)
    escalation: Escalation | None = Field(default=None, exclude_if=is_none)
    """The open escalation."""


class Verification(Contract):
    """Who it was, or why the identity does not hold."""

    approver: Approver | None = None
    refusal: str | None = Field(default=None, max_length=600)

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.approver is None) == (self.refusal is None):
            raise ValueError("give either approver or refusal")
        return self
