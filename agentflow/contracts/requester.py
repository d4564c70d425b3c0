"""Who asked for a run, and whose word is taken for it."""

from datetime import timedelta
from typing import Literal

from pydantic import Field

from agentflow.contracts.identity import ApproverKey, Claims
from agentflow.contracts.wire import Contract, Duration, Sha256, is_empty, is_false, is_none

START_TYPE = "agentflow-start+jws"
"""The ``typ`` of a token that starts a run: one that was signed for another purpose starts nothing."""

LONGEST_START = timedelta(minutes=15)
"""Longest life of such a token, unless a worker says otherwise."""

RequesterProof = Literal["token", "header"]
"""``token``: they, or a service that may say so, signed the start. ``header``: what starts runs set their
name in a header of the start."""


class StartClaims(Claims):
    """A person starts one run, on one task; or a service does, for them."""

    agent: str = Field(min_length=1, max_length=1_000)
    """The workflow type."""
    namespace: str = Field(min_length=1, max_length=1_000)
    workflow_id: str = Field(min_length=1, max_length=1_000)
    task: Sha256
    """Of the task as it is sent: ``core.requester.task_hash``."""


class RequesterPolicy(Contract):
    """Whose word a worker takes for who asked for a run."""

    keys: tuple[ApproverKey, ...] = Field(default=(), exclude_if=is_empty)
    """That starts are signed with. One whose ``subjects`` are many, or ``*``, is a service's that may start
    for them."""
    header: str | None = Field(default=None, max_length=200, exclude_if=is_none)
    """The header of the start that has the name. As good as whatever keeps others from setting it."""
    unverified: bool = Field(default=False, exclude_if=is_false)
    """Whether a run may begin all the same that was started without any proof."""
    longest: Duration = LONGEST_START
    """Longest life of a token."""


class Requester(Contract):
    """Who asked for a run, as far as that is known."""

    name: str
    proof: RequesterProof | None = Field(default=None, exclude_if=is_none)
    """How it is verified; ``None`` is not at all."""
    kid: str | None = Field(default=None, exclude_if=is_none)
    """The key that signed the start, believed by now or not."""
    detail: str = Field(default="", exclude_if=is_empty)
    """Why it is not verified."""
