"""A run that waits for a person to take over."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from agentflow.contracts.wire import Contract, Json


class Escalation(Contract):
    """Why a person is needed, and until when the run waits."""

    id: str
    reason: str
    deadline: datetime
    answerable: bool
    """Whether a person may supply the answer that the model couldn't."""


class Resolution(Contract):
    """The payload of the ``resolve`` signal."""

    action: Literal["guide", "answer", "abort"]
    """``guide``: tell the model ``text`` and go on. ``answer``: use ``answer`` in place of the
    model's. ``abort``: end the run as ``escalated``."""
    by: str = Field(min_length=1, max_length=200)
    text: str = Field(default="", max_length=20_000)
    answer: Json = None
    escalation_id: str | None = None
    """If given, must be the open escalation's."""


class RunStatus(Contract):
    """Answer of the ``status`` query."""

    agent: str
    release: str
    state: Literal["starting", "thinking", "acting", "waiting_for_approval", "escalated", "ended"]
    turn: int
    pending_approvals: int
    escalation: Escalation | None = None
    outcome: str | None = None
    """The outcome's status, once ended."""
    detail: str = ""
