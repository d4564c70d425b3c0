"""What a caller waits for: a run that needs people, or has ended."""

from typing import Literal

from agentflow.contracts.approval import ApprovalRequest
from agentflow.contracts.escalation import Escalation
from agentflow.contracts.wire import Contract


class Attention(Contract):
    """Answer of the ``await_attention`` update."""

    state: Literal["waiting_for_approval", "escalated", "ended"]
    approvals: tuple[ApprovalRequest, ...] = ()
    """Actions that wait for people, the oldest first."""
    escalation: Escalation | None = None
    outcome: str | None = None
    """The outcome's status, once ended; the outcome itself is the workflow's result."""
    detail: str = ""
