"""When the server took what people sent: what a run asks its own history, and what it is told."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from agentflow.contracts.wire import Contract, Sha256, is_empty, is_none

MAX_SOUGHT = 100
"""Signals that a run asks about at once: whoever may signal could send any number."""


class SignalSought(Contract):
    """One of the signals that a run heard in one workflow task."""

    name: str
    content: Sha256
    """Of its payloads: ``core.arrival.content_of``."""
    nth: int = Field(ge=1)
    """Which of those of this name and content; the first is 1."""
    of: int = Field(ge=1)
    """How many of them the run heard in that task."""


class ArrivalInquiry(Contract):
    """When did these signals come? The argument of the ``find_arrivals`` activity."""

    after_event: int
    """Event id: the run had heard all signals up to here in tasks before."""
    until_event: int
    """Event id of the start of the task in which it heard these."""
    sought: Annotated[tuple[SignalSought, ...], Field(min_length=1, max_length=MAX_SOUGHT)]


class Arrivals(Contract):
    """When the signals came, by the server's time."""

    at: tuple[datetime | None, ...] = Field(default=(), exclude_if=is_empty)
    """For each that was sought; ``None`` where history doesn't show which event it was."""
    problem: str | None = Field(default=None, max_length=600, exclude_if=is_none)
    """Why history could not be read within bounds; then ``at`` is empty."""
