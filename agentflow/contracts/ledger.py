"""Which ledger a run's writes are recorded in: ledgers have names of their own, whatever their addresses."""

from datetime import datetime

from pydantic import Field

from agentflow.contracts.person import Name
from agentflow.contracts.wire import Contract, Sha256, is_empty, is_false, is_none

MAX_PREDECESSORS = 100
"""How many ledgers one may stand for."""


class Predecessor(Contract):
    """A ledger that another one stands for, by an operator's word: some of its records are lost."""

    id: str
    """``LedgerIdentity.id`` of it."""
    lost: str
    """What may be missing, in the operator's words."""
    by: str
    """The operator."""
    at: datetime
    """When that was recorded."""
    is_other: bool = Field(default=False, exclude_if=is_false)
    """Whether it was another ledger than the one that stands for it, and not that one as it was before."""


class LedgerIdentity(Contract):
    """Names a ledger from when it was made. A copy of it is another ledger until an operator adopts it."""

    id: str = Field(min_length=1, max_length=64)
    """Random, made with the ledger."""
    stands_for: tuple[Predecessor, ...] = Field(default=(), exclude_if=is_empty)
    """Ledgers whose runs may go on with this one. A call of theirs without a record may have been made."""

    def is_still(self, ledger: str) -> bool:
        """Whether it is the ledger of that id, or stands for it by an operator's word."""
        return self.id == ledger or bool(self.losses_of(ledger))

    def losses_of(self, ledger: str) -> tuple[Predecessor, ...]:
        """Losses that concern the runs of another ledger, in order; none if this one doesn't stand for it.

        Those are its own, those of this one since it stands for it, and those of other ledgers: each may have
        stood for it before, and have had records of its runs.

        Args:
            ledger: Id of the run's.
        """
        own = [number for number, one in enumerate(self.stands_for) if one.id == ledger]
        if not own:
            return ()
        return tuple(one for number, one in enumerate(self.stands_for) if number >= own[0] or one.is_other)


class Adoption(Contract):
    """An operator's word on a ledger that was moved, copied or restored, or is to stand for a lost one."""

    by: Name
    """Who says so."""
    lost: str = Field(default="", max_length=1_000)
    """What may be missing, such as ``all since 2026-05-01 12:00``. Empty: nothing is."""
    instead_of: str | None = Field(default=None, max_length=64)
    """Id of the lost ledger that this one is to stand for, which then must have ``lost``."""
    trust_failovers: bool = False
    """Whether from now on a standby that takes over has lost nothing: replication is synchronous. Of
    PostgreSQL only; elsewhere it means nothing."""


class LedgerQuestion(Contract):
    """The argument of ``identify_ledger``."""

    tool: str
    """A tool whose writes it must record."""
    chain: str
    """Which run of its workflow id asks: ``core.idempotency.chain_of``."""


class LedgerPin(Contract):
    """The ledger that a run's writes on one task queue are recorded in."""

    id: str
    last: Sha256 | None = Field(default=None, exclude_if=is_none)
    """Key of the newest record that the run knows to be in it."""
