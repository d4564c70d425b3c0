"""What a ledger keeps of what it forgot."""

from datetime import datetime

from pydantic import Field

from agentflow.contracts.wire import Contract

MAX_PURGES = 100
"""How many rounds a ledger keeps on record; the oldest go first."""


class Purge(Contract):
    """One round of forgetting: what a worker had the ledger forget, or why it refused to."""

    at: datetime
    """By Temporal's server, or a minute before."""
    by: str = Field(max_length=1_000)
    """Identity of the worker."""
    namespace: str = Field(max_length=1_000)
    """Whose records: a worker sees to those of its own Temporal namespace."""
    before: datetime
    """What was last written before this could be forgotten."""
    forgotten: int = Field(default=0, ge=0)
    """Records and lifted stops that are gone."""
    kept: int = Field(default=0, ge=0)
    """Records as old that stayed, since a run may need them."""
    refused: str = Field(default="", max_length=2_000)
    """Why nothing was forgotten at all; empty where it was not refused."""
