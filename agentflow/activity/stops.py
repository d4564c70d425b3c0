"""What the ledger says is forbidden now.

A worker goes by what it has read for a second at most, and all attempts of that second share one read. What
can't be read forbids.
"""

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, NamedTuple, cast

from temporalio import activity

from agentflow.activity.hold import tried
from agentflow.activity.moment import Moment
from agentflow.contracts.grounds import Grounds
from agentflow.contracts.stops import CACHED_FOR, HEARD_WITHIN, Stop
from agentflow.core.stops import concerns, forbidding, is_freeze, objection
from agentflow.errors import LedgerError
from agentflow.ports.ledger import EffectLedger


class _Known(NamedTuple):
    """What holds in a namespace, and when it was asked for."""

    stops: tuple[Stop, ...]
    asked: Moment


class StopReader:
    """Reads what is forbidden, for all tools of a worker."""

    def __init__(
        self,
        ledger: EffectLedger,
        *,
        cached_for: timedelta = CACHED_FOR,
        heard_within: timedelta = HEARD_WITHIN,
    ) -> None:
        """Read a ledger.

        Args:
            ledger: The worker's.
            cached_for: How long an answer counts for others than those who waited for it. Whoever writes a
                stop counts on it, so that only tests should change it.
            heard_within: How long an answer may take; the same is true of it.
        """
        self._ledger = ledger
        self._cached_for = cached_for.total_seconds()
        self._heard_within = heard_within.total_seconds()
        self._known: dict[str, _Known] = {}
        self._reads: dict[str, asyncio.Task[_Known]] = {}

    async def objections(self, namespace: str, grounds: Grounds) -> tuple[str, ...]:
        """Why a write may not be made now; nothing if it may.

        Raises:
            LedgerError: the ledger can't say.
        """
        return tuple(map(objection, forbidding(await self._stops(namespace), grounds)))

    async def frozen(self, agent: str, tenant: str) -> tuple[str, ...]:
        """The freezes that concern an agent and a tenant, in the namespace of the running activity.

        Raises:
            LedgerError: the ledger can't say.
        """
        stops = await self._stops(activity.info().namespace)
        return tuple(stop.key for stop in stops if is_freeze(stop.key) and concerns(stop.key, agent, tenant))

    async def _stops(self, namespace: str) -> tuple[Stop, ...]:
        known = self._known.get(namespace)
        if known is not None and known.asked.seconds_ago() < self._cached_for:
            return known.stops
        known = await self._shared_read(namespace)
        # Whoever waited may have been kept from going on for longer: by a busy worker, or a machine asleep.
        if known.asked.seconds_ago() >= self._heard_within:
            raise self._too_slow()
        return known.stops

    async def _shared_read(self, namespace: str) -> _Known:
        reading = self._reads.get(namespace)
        if reading is None or reading.done() or reading.get_loop() is not asyncio.get_running_loop():
            reading = self._reads[namespace] = asyncio.create_task(self._read(namespace))
            reading.add_done_callback(_heard)
        # Others wait for it too: one that is cancelled must not take it from them.
        return await asyncio.shield(reading)

    async def _read(self, namespace: str) -> _Known:
        try:
            async with asyncio.timeout(self._heard_within):
                known = await tried(lambda: self._once(namespace))
        except TimeoutError as error:
            raise self._too_slow() from error
        self._known[namespace] = known
        return known

    async def _once(self, namespace: str) -> _Known:
        asked = Moment.now()
        stops: Any = await self._ledger.stops(namespace)
        if not isinstance(stops, tuple) or not all(
            isinstance(stop, Stop) for stop in cast(Iterable[Any], stops)
        ):
            raise LedgerError(f"{self._ledger!r} answers something else than stops")
        return _Known(cast(tuple[Stop, ...], stops), asked)

    def _too_slow(self) -> LedgerError:
        return LedgerError(
            f"the effect ledger did not say within {self._heard_within:g} s what is forbidden; the tool was "
            "not called"
        )


def _heard(reading: "asyncio.Task[_Known]") -> None:
    """Take note of a failure that nobody waits for any more."""
    if not reading.cancelled():
        reading.exception()
