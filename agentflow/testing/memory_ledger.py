"""A ledger in memory, with a clock that a test sets: for tests of tools, and of what follows a crash."""

from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice

from agentflow.adapters.ledger_card import LedgerCard
from agentflow.contracts.effects import EffectPage, EffectQuery, EffectRecord, StoredEffect
from agentflow.contracts.ledger import Adoption, LedgerIdentity
from agentflow.contracts.purges import MAX_PURGES, Purge
from agentflow.contracts.stops import Stop
from agentflow.contracts.wire import Sha256


class MemoryLedger:
    """Fulfils ``EffectLedger`` within one event loop. Lost with its process, so never for real writes."""

    def __init__(self) -> None:
        self.now: datetime = datetime(2026, 1, 1, tzinfo=UTC)
        """The ledger's clock. It stands still until the test moves it."""
        self._effects: dict[Sha256, StoredEffect] = {}
        self._stops: list[Stop] = []
        self._purges: deque[Purge] = deque(maxlen=MAX_PURGES)
        self._card = LedgerCard.new("memory")

    def advance(self, by: timedelta) -> None:
        """Let time pass, and leases with it."""
        self.now += by

    async def check(self) -> None:
        """Nothing to set up."""

    async def identity(self) -> LedgerIdentity:
        """Which ledger it is."""
        return self._card.identity("memory", repr(self))

    async def adopt(self, adoption: Adoption) -> LedgerIdentity:
        """Take an operator's word."""
        self._card = self._card.adopted_by(adoption, "memory")
        return await self.identity()

    async def insert(self, record: EffectRecord) -> bool:
        """Keep a new record."""
        if record.key in self._effects:
            return False
        self._effects[record.key] = self._stored(record, 1, self.now)
        return True

    async def get(self, key: Sha256) -> StoredEffect | None:
        """The record as it is now."""
        found = self._effects.get(key)
        return self._aged(found) if found else None

    async def replace(self, record: EffectRecord, *, version: int) -> bool:
        """Put a record in place of the one with its key and this version."""
        found = self._effects.get(record.key)
        if found is None or found.version != version:
            return False
        self._effects[record.key] = self._stored(record, version + 1, found.created_at)
        return True

    async def of_work(self, work: Sha256) -> tuple[StoredEffect, ...]:
        """The records of one piece of work, the oldest first."""
        found = (
            effect
            for effect in self._effects.values()
            if effect.record.work == work and effect.record.counts is None
        )
        return tuple(map(self._aged, found))

    async def find(self, query: EffectQuery, *, limit: int = 100, cursor: str | None = None) -> EffectPage:
        """Records, the oldest first.

        Raises:
            ValueError: the cursor is none of this ledger's.
        """
        start = 0 if cursor is None else int(cursor)
        if not 1 <= limit <= 1000 or start < 0:
            raise ValueError("limit is 1 to 1000, and the cursor one of this ledger's")
        chosen = [self._aged(effect) for effect in self._effects.values() if _fits(effect, query)]
        page = tuple(islice(chosen, start, start + limit))
        more = start + limit < len(chosen)
        return EffectPage(effects=page, cursor=str(start + limit) if more else None)

    async def clock(self) -> datetime:
        """``now``."""
        return self.now

    async def forget(self, versions: Mapping[Sha256, int]) -> int:
        """Forget records that are not open and are of these versions still."""
        seen = ((key, self._effects.get(key), version) for key, version in versions.items())
        gone = [
            key
            for key, found, version in seen
            if found and found.version == version and not found.record.is_open
        ]
        for key in gone:
            del self._effects[key]
        return len(gone)

    async def forget_stops(self, namespace: str, before: datetime) -> int:
        """Forget the stops of a namespace that were lifted before a time."""
        kept = [
            stop
            for stop in self._stops
            if stop.namespace != namespace or stop.ended_at is None or stop.ended_at >= before
        ]
        gone, self._stops = len(self._stops) - len(kept), kept
        return gone

    async def keep_purge(self, purge: Purge) -> None:
        """Put a round of forgetting on record."""
        self._purges.append(purge)

    async def purges(self, *, limit: int = MAX_PURGES) -> tuple[Purge, ...]:
        """The rounds of forgetting on record, the newest first.

        Raises:
            ValueError: the limit is out of bounds.
        """
        if not 1 <= limit <= 1000:
            raise ValueError("limit is 1 to 1000")
        return tuple(islice(reversed(self._purges), limit))

    async def stops(self, namespace: str) -> tuple[Stop, ...]:
        """The stops that hold, the oldest first."""
        return tuple(stop for stop in self._stops if stop.namespace == namespace and stop.holds)

    async def stop(self, namespace: str, key: str, *, by: str, reason: str = "") -> bool:
        """Forbid something."""
        made = Stop(namespace=namespace, key=key, by=by, reason=reason, since=self.now)
        holding = [(stop.namespace, stop.key) for stop in self._stops if stop.holds]
        is_new = (namespace, key) not in holding
        if is_new:
            self._stops.append(made)
        return is_new

    async def lift(self, namespace: str, key: str, *, by: str, reason: str = "") -> bool:
        """End the stop of a key."""
        Stop(namespace=namespace, key=key, by=by, reason=reason, since=self.now)
        for place, stop in enumerate(self._stops):
            if stop.holds and (stop.namespace, stop.key) == (namespace, key):
                self._stops[place] = stop.lifted(by, reason, self.now)
                return True
        return False

    async def stops_log(self, namespace: str, *, limit: int = 100) -> tuple[Stop, ...]:
        """The last stops, the newest first.

        Raises:
            ValueError: the limit is out of bounds.
        """
        if not 1 <= limit <= 1000:
            raise ValueError("limit is 1 to 1000")
        newest = (stop for stop in reversed(self._stops) if stop.namespace == namespace)
        return tuple(islice(newest, limit))

    async def close(self) -> None:
        """Nothing to let go of."""

    def _stored(self, record: EffectRecord, version: int, created_at: datetime) -> StoredEffect:
        return StoredEffect(
            record=record, version=version, age=timedelta(0), created_at=created_at, written_at=self.now
        )

    def _aged(self, effect: StoredEffect) -> StoredEffect:
        return effect.model_copy(update={"age": max(timedelta(0), self.now - effect.written_at)})


def _fits(effect: StoredEffect, query: EffectQuery) -> bool:
    record, before = effect.record, query.ended_before
    return (
        (not query.states or record.state in query.states)
        and all(wanted in (None, getattr(record, name)) for name, wanted in query.equal.items())
        and (record.is_open or not query.only_open)
        and (before is None or (not record.is_open and effect.written_at < before))
    )
