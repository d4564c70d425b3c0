"""What the rules decided, and on what."""

from typing import Literal

from pydantic import Field, model_validator

from agentflow.contracts.person import Name
from agentflow.contracts.wire import Contract, Sha256, ToolCallId, is_empty, is_none

Verdict = Literal["allow", "deny", "ask"]
"""``allow``: may run. ``deny``: may not. ``ask``: may run if the people named say so."""

Tier = Literal["dev", "staging", "production"]
"""The environment a worker runs in; its configuration says so, never the caller."""


Subject = Literal[
    "tool_call",
    "approval",
    "rejection",
    "resolution",
    "freeze",
    "revocation",
    "signal",
    "check",
    "notice",
    "compaction",
    "continuation",
    "model_call",
]
"""What a line of the decision log is about."""


MAX_PEOPLE = 20
"""Whose consent one action may need, at most."""


class Quorum(Contract):
    """Whose consent an action needs."""

    people: int = Field(default=1, ge=1, le=MAX_PEOPLE)
    """How many different people."""
    roles: tuple[Name, ...] = ()
    """Each of them holds one of these roles; empty means any role."""
    next_roles: tuple[Name, ...] = Field(default=(), exclude_if=is_empty)
    """Once half the time until the deadline is over, these count as well."""

    @model_validator(mode="after")
    def _next_to_some(self) -> "Quorum":
        if self.next_roles and not self.roles:
            raise ValueError("next_roles without roles: any role may decide anyway")
        return self


class RuleSetName(Contract):
    """Names a set of rules by what it is."""

    name: str
    version: str
    hash: Sha256
    """Of its rules, the source of their conditions, and other engines' policies."""
    engines: tuple[str, ...] = Field(default=(), exclude_if=is_empty)
    """Name and version of the engines that are asked beside the Python rules."""

    @property
    def id(self) -> str:
        """``name@version+hash``, the hash cut to 12 digits."""
        return f"{self.name}@{self.version}+{self.hash[:12]}"


class Decision(Contract):
    """What the rules say of one tool call with exactly these arguments."""

    verdict: Verdict
    rule: str
    """Name of the deciding rule; ``default`` when none matched, ``error`` when one failed."""
    reason: str
    arguments_hash: Sha256
    quorum: Quorum | None = Field(default=None, exclude_if=is_none)
    """Set when the verdict is ``ask``."""
    rules: str | None = Field(default=None, exclude_if=is_none)
    """Id of the rule set that decided."""
    granted_by: tuple[str, ...] = Field(default=(), exclude_if=is_empty)
    """The people whose approval turned an ``ask`` into an ``allow``."""


class DecisionRecord(Contract):
    """One line of the run's decision log, as the ``decisions`` query returns it."""

    subject: Subject
    accepted: bool
    """False for a call that was not allowed, and for a signal that was refused and had no effect."""
    detail: str
    at: str
    """When, as ISO 8601 in UTC, by the workflow's clock."""
    tool: str | None = None
    tool_call_id: ToolCallId | None = None
    verdict: Verdict | None = None
    rule: str | None = None
    by: str | None = None
    """The person, for decisions of people."""
