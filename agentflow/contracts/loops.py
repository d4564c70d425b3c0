"""When a run that goes in circles is stopped."""

from pydantic import Field

from agentflow.contracts.wire import Contract, is_empty, is_zero


class LoopLimits(Contract):
    """Above each of these a person takes over. ``None`` is no limit.

    They hold for what a model asks for, not for calls of an agent's own ``perform``.
    """

    same_call: int | None = Field(default=8, ge=1)
    """How often the same tool may be called with the same arguments."""
    failures_in_a_row: int | None = Field(default=6, ge=1)
    """How many calls may end in an error, one after the other."""
    turns_without_progress: int | None = Field(default=12, ge=1)
    """How many turns may pass in which no call says anything new."""


class Circles(Contract):
    """How a run goes in circles so far."""

    calls: dict[str, int] = Field(default_factory=dict[str, int], exclude_if=is_empty)
    """How often each call was made, by its hash cut to 16 digits."""
    heard: tuple[str, ...] = Field(default=(), exclude_if=is_empty)
    """What calls said, by hash, the newest last."""
    failures: int = Field(default=0, exclude_if=is_zero)
    """Calls that ended in an error since one did not."""
    stale_turns: int = Field(default=0, exclude_if=is_zero)
    """Turns since one that said anything new."""
    is_fresh: bool = False
    """Whether a call of the turn said anything new."""
