"""What is forbidden now: freezes and revocations, as the effect ledger keeps them.

A ledger may serve several Temporal namespaces. A stop holds in one of them, and each look-up names it.
"""

from datetime import datetime, timedelta

from pydantic import AwareDatetime, Field

from agentflow.contracts.wire import Contract, is_empty, is_none

STOP_KEY = r"^(fleet|(agent|tenant|key|delegation):[^\x00]{1,200})$"
"""What a stop's key looks like."""

CACHED_FOR = timedelta(seconds=1)
"""How long a worker goes by what it has read of the stops, counted from when it asked."""

HEARD_WITHIN = timedelta(seconds=3)
"""A write that acts later than this after a stop was written knows of the stop: an answer for which the
ledger took longer counts for nothing."""


class Stop(Contract):
    """Something that is forbidden, until somebody lifts it.

    Freezes are lifted by ``agentflow unfreeze``. A revocation is for good: a new key takes the place of one
    that was revoked by mistake. The ledger's ``lift`` ends it all the same, to make room for others once no
    list has the key any more.
    """

    namespace: str
    """Temporal's, in which it holds."""
    key: str = Field(pattern=STOP_KEY)
    """``fleet``, ``agent:NAME`` or ``tenant:NAME`` is frozen; ``key:KID`` is an approver's key and
    ``delegation:ID`` a delegation that no longer counts."""
    by: str = Field(min_length=1, max_length=200)
    """The person who said so."""
    reason: str = Field(default="", max_length=2_000, exclude_if=is_empty)
    since: AwareDatetime
    """By the ledger's clock where it has one; else by that of whoever wrote it."""
    ended_by: str | None = Field(default=None, max_length=200, exclude_if=is_none)
    """The person who lifted it."""
    ended_reason: str = Field(default="", max_length=2_000, exclude_if=is_empty)
    ended_at: AwareDatetime | None = Field(default=None, exclude_if=is_none)

    @property
    def holds(self) -> bool:
        """Whether nobody has lifted it."""
        return self.ended_at is None

    def lifted(self, by: str, reason: str, at: datetime) -> "Stop":
        """The stop once somebody has lifted it."""
        return self.model_copy(update={"ended_by": by, "ended_reason": reason, "ended_at": at})


def key_stop(kid: str) -> str:
    """The key of the stop that revokes an approver's key."""
    return f"key:{kid}"


def delegation_stop(delegation: str) -> str:
    """The key of the stop that revokes a delegation."""
    return f"delegation:{delegation}"
