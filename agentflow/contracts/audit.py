"""The decision log: what an auditor reads of a run, and what the contents of a run are kept apart as."""

from typing import Literal

from pydantic import Field

from agentflow.contracts.wire import Contract, Json, Sha256, is_empty, is_none

RecordKind = Literal[
    "started",
    "continued",
    "manifest",
    "prompt",
    "model_call",
    "tool_call",
    "refused_call",
    "approval_requested",
    "approval_decision",
    "verification",
    "recorded",
    "resolution",
    "freeze",
    "revocation",
    "effect",
    "guard",
    "notice",
    "child",
    "signal",
    "update",
    "activity",
    "cancel_requested",
    "reset",
    "outcome",
    "ended",
    "decision",
    "budget",
    "gap",
]
"""What a record is about; docs/audit.md says what each one holds."""

GapKind = Literal[
    "history_expired",
    "missing_blob",
    "unreadable_payload",
    "unknown_schema",
    "foreign_workflow",
    "not_replayed",
    "diverged",
    "log_shortened",
    "contents_erased",
]
"""Why something is not in a bundle.

``history_expired``: Temporal no longer keeps an execution. ``missing_blob``: external storage lacks a value.
``unreadable_payload``: a value was encoded by a codec that the exporter doesn't have. ``unknown_schema``: of
another version of agentflow. ``foreign_workflow``: no run of an agent. ``not_replayed``: no agent at hand has
the run's workflow type. ``diverged``: today's code does something else than the run did. ``log_shortened``:
the run itself kept only a part of its decision log. ``contents_erased``: the run's key was deleted before.
"""

Source = Literal["history", "replay"]
"""``history``: read from an event. ``replay``: worked out anew by the run's own code from those events."""


class Record(Contract):
    """One line of the decision log. It holds no text of tasks, models, tools or people."""

    seq: int = Field(ge=0)
    at: str
    """ISO 8601 in UTC: the event's time; for ``replay`` the workflow's clock."""
    kind: RecordKind
    run: str
    """Workflow id."""
    execution: str
    """Run id of the execution; empty for what concerns none."""
    event: int | None = Field(default=None, exclude_if=is_none)
    """Of the execution's history. For ``replay``, the last event that the code had seen."""
    source: Source = "history"
    facts: dict[str, Json]
    contents: dict[str, str] = Field(default_factory=dict[str, str], exclude_if=is_empty)
    """What was said, by name: a commitment (HMAC-SHA256 under the run's key) to what the contents hold. A
    plain hash of a phone number would be the phone number."""
    previous: Sha256
    """Hash of the record before; of 64 zeros for the first one."""


Explanation = Literal["cited", "uncited", "wrong"]
"""How an outcome's reasons stand. ``cited``: each cites a place in a recorded tool output, and the same is
there. ``uncited``: nothing is cited. ``wrong``: what is cited isn't there."""
