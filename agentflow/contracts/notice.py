"""A word to people outside that something waits for them."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from agentflow.contracts.approval import ApprovalRequest
from agentflow.contracts.escalation import Escalation
from agentflow.contracts.wire import Contract, is_none

NoticeKind = Literal["approval.requested", "approval.next_roles", "escalation.opened"]
"""``approval.next_roles``: half the time is over, and other roles may decide as well."""


class Notice(Contract):
    """What is told. Delivered at least once: whoever receives it twice knows it by its id."""

    id: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    """The same for each attempt to deliver it, and after a reset."""
    kind: NoticeKind
    at: datetime
    """When it came up, by the workflow's clock."""
    workflow_id: str
    agent: str
    tenant: str
    approval: ApprovalRequest | None = Field(default=None, exclude_if=is_none)
    escalation: Escalation | None = Field(default=None, exclude_if=is_none)
    text: str
    """The same for people, as Markdown: the approver's page and how to decide."""

    @property
    def subject(self) -> str:
        """What it is about: the approval's or the escalation's id."""
        about = self.approval or self.escalation
        assert about is not None
        return about.id

    @property
    def deadline(self) -> datetime:
        """When nobody needs to hear of it any more."""
        about = self.approval or self.escalation
        assert about is not None
        return about.deadline


class PendingNotice(Contract):
    """A notice that is not delivered yet, as a run takes it along when it continues as new."""

    kind: NoticeKind
    subject: str
