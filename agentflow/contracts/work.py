"""What a write does, for which run, and where it must be recorded."""

from datetime import datetime

from pydantic import Field

from agentflow.contracts.wire import Contract, Sha256, is_empty, is_false, is_none


class Work(Contract):
    """What a write does, for which run, and what that run knows of the same."""

    id: Sha256
    """``core.idempotency.same_work``."""
    chain: str
    """Which run of its workflow id it is: ``core.idempotency.chain_of``."""
    execution: str = Field(default="", exclude_if=is_empty)
    """The run id of the execution that asked for it. In another one the run was reset to after that."""
    beside: tuple[Sha256, ...] = Field(default=(), exclude_if=is_empty)
    """Ledger keys of the same work that the run knows of: its own calls, and effects of earlier runs on which
    people have decided."""
    alone: bool = Field(default=False, exclude_if=is_false)
    """Whether what other runs did is no matter: their effects are made again."""
    counts: Sha256 | None = Field(default=None, exclude_if=is_none)
    """The key of an earlier run's effect that counts for this call's; then the tool is not called."""
    ledger: str | None = Field(default=None, exclude_if=is_none)
    """The ledger that must record it: ``contracts.ledger.LedgerIdentity.id``."""
    after: Sha256 | None = Field(default=None, exclude_if=is_none)
    """The key of a record that this ledger must have, as an earlier write of the run is in it."""
    begun: datetime | None = Field(default=None, exclude_if=is_none)
    """When the call was first scheduled, if an attempt of an earlier activity has begun it: then its record
    must be there. By the server's clock."""
