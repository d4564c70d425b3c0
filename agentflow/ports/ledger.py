"""The door to the record of side effects."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from agentflow.contracts.effects import EffectPage, EffectQuery, EffectRecord, StoredEffect
from agentflow.contracts.ledger import Adoption, LedgerIdentity
from agentflow.contracts.purges import MAX_PURGES, Purge
from agentflow.contracts.stops import Stop
from agentflow.contracts.wire import Sha256


class EffectLedger(Protocol):
    """Keeps a record for each write, changed by comparing versions, and what is forbidden now.

    What the records mean is decided in ``core.effects``, and what a stop forbids in ``core.stops``; a ledger
    only has to be atomic and durable.

    All methods raise ``LedgerError`` when the ledger can't be reached or used, with its place and the cause
    in the text; then no write runs. Each takes a bounded time, some seconds. A method that raised may have
    had its effect all the same, and a change may be stamped as early as when its method was called.

    An age is never more than the time that has passed, whatever clock was set: a lease would be over while
    its owner is at work. Where a stamp makes it too little, whoever watches makes up for that
    (``activity.sightings``).
    """

    async def check(self) -> None:
        """See whether the ledger can be used; a worker calls it when it starts.

        Raises:
            ConfigurationError: it must be set up first, is of a newer version, or is a copy that no operator
                has adopted; the text says how.
            LedgerError: it can't be reached now.
        """
        ...

    async def identity(self) -> LedgerIdentity:
        """Which ledger it is, read anew each time: another file may have come into its place.

        Raises:
            LedgerError: it can't be reached, or is a copy that no operator has adopted.
        """
        ...

    async def adopt(self, adoption: Adoption) -> LedgerIdentity:
        """Take an operator's word on a ledger that was moved, copied or restored; answer what it is then.

        Where something may be missing it gets a new id, and stands for the one that it was.

        Raises:
            ValueError: it is to stand for another ledger, of which nothing is lost.
            LedgerError: it can't be reached, or was changed meanwhile.
        """
        ...

    async def insert(self, record: EffectRecord) -> bool:
        """Keep a new record, durably and atomically, as version 1. False if its key is taken."""
        ...

    async def get(self, key: Sha256) -> StoredEffect | None:
        """The record as it is now, never an older state of it; ``None`` if there is none."""
        ...

    async def replace(self, record: EffectRecord, *, version: int) -> bool:
        """Put a record in place of the one with its key and this version. False if that is not there."""
        ...

    async def of_work(self, work: Sha256) -> tuple[StoredEffect, ...]:
        """The records of one piece of work (``EffectRecord.work``), the oldest first.

        Not those that count another one's effect (``EffectRecord.counts``): they have none of their own.

        Of more than 1000, ``LedgerError``: whoever looks must see all.

        Never an older state of them, and each whose ``insert`` has returned is among them: of two runs that
        insert and then look, at least one sees the other.
        """
        ...

    async def find(self, query: EffectQuery, *, limit: int = 100, cursor: str | None = None) -> EffectPage:
        """Records, the oldest first where the ledger can, ``limit`` of them at most a page.

        A page may be short, or empty, and still have a cursor: follow it to the end.

        Args:
            query: Which.
            limit: 1 to 1000.
            cursor: That of the page before.

        Raises:
            ValueError: the cursor is no cursor of this ledger, or the limit is out of bounds.
        """
        ...

    async def clock(self) -> datetime:
        """The time now, by the clock that stamps the records: the store's own where it has one."""
        ...

    async def forget(self, versions: Mapping[Sha256, int]) -> int:
        """Forget records, each only if it is of this version still and not open; answer how many.

        Which, is decided in one place for all ledgers, ``adapters.ledger_purge``.

        Args:
            versions: The records' keys, and as what they were seen: 1000 at most.
        """
        ...

    async def forget_stops(self, namespace: str, before: datetime) -> int:
        """Forget the stops of a namespace that were lifted before a time; answer how many.

        One that holds never is.
        """
        ...

    async def keep_purge(self, purge: Purge) -> None:
        """Put a round of forgetting on record. The last ``MAX_PURGES`` are kept."""
        ...

    async def purges(self, *, limit: int = MAX_PURGES) -> tuple[Purge, ...]:
        """The rounds of forgetting on record, the newest first.

        Args:
            limit: 1 to 1000.

        Raises:
            ValueError: the limit is out of bounds.
        """
        ...

    async def stops(self, namespace: str) -> tuple[Stop, ...]:
        """The stops that hold in a Temporal namespace now, never an older state of them, the oldest first."""
        ...

    async def stop(self, namespace: str, key: str, *, by: str, reason: str = "") -> bool:
        """Forbid something, durably and atomically. False if a stop of that key holds already."""
        ...

    async def lift(self, namespace: str, key: str, *, by: str, reason: str = "") -> bool:
        """End the stop of a key, and keep it for who looks back. False if none holds."""
        ...

    async def stops_log(self, namespace: str, *, limit: int = 100) -> tuple[Stop, ...]:
        """The last stops of a namespace, those that were lifted too, the newest first.

        Args:
            namespace: Temporal's.
            limit: 1 to 1000.

        Raises:
            ValueError: the limit is out of bounds.
        """
        ...

    async def close(self) -> None:
        """Let go of connections. Does nothing the second time."""
        ...
