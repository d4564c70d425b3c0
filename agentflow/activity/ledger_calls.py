"""The ledger's answers, held to their types and to the workers' seal: what is not what it says ends no write.

A ledger may be a user's own. What it raises besides ``LedgerError``, an answer of another type or of another
key, and one that doesn't come are all the same here: it can't be used. And whoever can write to it need be
no worker: a record that none sealed comes as ``Unsealed``.
"""

from collections.abc import Awaitable, Callable
from typing import cast

from agentflow.activity.bounded import answered, close_unawaited
from agentflow.activity.machine_clock import uptime_us
from agentflow.activity.sightings import sightings_of
from agentflow.contracts.effects import EffectRecord, StoredEffect
from agentflow.contracts.ledger import LedgerIdentity
from agentflow.contracts.wire import Sha256, exactly
from agentflow.core.record_seals import Unsealed, is_sealed, sealed
from agentflow.core.seal import SealKeys
from agentflow.errors import AgentflowError, LedgerError, another_in_place
from agentflow.ports.ledger import EffectLedger

LEDGER_SECONDS = 30.0
"""For one call. The ledgers of agentflow have shorter limits of their own."""


class LedgerCalls:
    """The calls that a write makes. What it writes is sealed, and what it finds is looked at for a seal."""

    def __init__(self, ledger: EffectLedger, keys: SealKeys) -> None:
        """Put the parts together.

        Args:
            ledger: Record of side effects.
            keys: The fleet's.
        """
        self._ledger = ledger
        self._sightings = sightings_of(ledger)
        self._keys = keys
        self._name = type(ledger).__name__
        self._first: str | None = None
        """Id of the ledger that this worker has written to."""
        self._last: str | None = None

    def __repr__(self) -> str:
        return repr(self._ledger)

    async def identity(self) -> LedgerIdentity:
        """Which ledger it is: the one that this worker began with, or one that an operator let stand for it.

        Raises:
            LedgerError: it can't be told, or another one is in its place.
        """
        found = await self._answer(self._ledger.identity)
        identity = exactly(LedgerIdentity, found)
        if identity is None:
            raise self._odd("identity", found)
        self._last = identity.id
        if self._first is not None and not identity.is_still(self._first):
            raise LedgerError(another_in_place(repr(self._ledger), self._first, identity.id))
        return identity

    async def insert(self, record: EffectRecord) -> bool:
        """Keep a new record; ``False`` if its key is taken.

        Raises:
            LedgerError: it can't be told whether it was kept.
        """
        ours = sealed(record, 1, self._keys)
        self._first = self._first or self._last
        return self._yes_or_no("insert", await self._answer(lambda: self._ledger.insert(ours)))

    async def replace(self, record: EffectRecord, version: int) -> bool:
        """Put a record in place of the one of that version; ``False`` if that is not there.

        Raises:
            LedgerError: it can't be told whether it was put there.
        """
        ours = sealed(record, version + 1, self._keys)
        answer = await self._answer(lambda: self._ledger.replace(ours, version=version))
        return self._yes_or_no("replace", answer)

    async def get(self, key: Sha256) -> StoredEffect | Unsealed | None:
        """The record of a key, with an age that is certain, whatever its stamp says.

        Raises:
            LedgerError: it can't be told.
        """
        asked_us = uptime_us()
        found = await self._answer(lambda: self._ledger.get(key))
        if found is None:
            return None
        stored = exactly(StoredEffect, found)
        if stored is None:
            raise self._odd("get", found)
        if stored.record.key != key:
            raise LedgerError(f"{self._name}.get answered the record of another key")
        return self._looked_at(self._sightings.aged(stored, asked_us))

    async def of_work(self, work: Sha256) -> tuple[StoredEffect | Unsealed, ...]:
        """The records of one piece of work.

        Raises:
            LedgerError: they can't be told.
        """
        found = await self._answer(lambda: self._ledger.of_work(work))
        if type(found) is not tuple:
            raise self._odd("of_work", found)
        told = cast(tuple[object, ...], found)
        records = tuple(
            one for each in told if (one := exactly(StoredEffect, each)) and one.record.work == work
        )
        if len(records) < len(told):
            raise LedgerError(f"{self._name}.of_work answered something else than records of that work")
        return tuple(map(self._looked_at, records))

    def _looked_at(self, stored: StoredEffect) -> StoredEffect | Unsealed:
        return stored if is_sealed(stored, self._keys) else Unsealed(stored)

    def _yes_or_no(self, method: str, answer: object) -> bool:
        if answer is True or answer is False:
            return answer
        raise self._odd(method, answer)

    async def _answer(self, question: Callable[[], Awaitable[object]]) -> object:
        try:
            return await answered(question, LEDGER_SECONDS)
        except AgentflowError:
            raise
        except Exception as error:
            raise LedgerError(f"{self._name} failed: {type(error).__name__}: {error}") from error

    def _odd(self, method: str, answer: object) -> LedgerError:
        close_unawaited(answer)
        kind = type(answer).__name__
        return LedgerError(f"{self._name}.{method} answered {kind}, which is no answer of a ledger")
