"""What a ledger may forget: one round, by rules that are the same for every ledger.

A record is forgotten when it has ended, is older than the retention by every clock there is, and no run may
come back to it. The worker's clock, the ledger's and Temporal's must agree to the hour; where they don't, one
of them lies, and nothing is forgotten before somebody has looked.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from temporalio.client import Client

from agentflow.adapters.temporal_facts import RunNeeds, server_time
from agentflow.contracts.effects import EffectQuery
from agentflow.contracts.purges import Purge
from agentflow.contracts.wire import Sha256
from agentflow.errors import ConfigurationError
from agentflow.ports.ledger import EffectLedger
from agentflow.telemetry import metrics

_LOG = structlog.get_logger("agentflow")

LEAST_RETENTION = timedelta(days=1)
"""Less is a slip: the shortest namespace retention that Temporal takes is a day."""
MAX_APART = timedelta(hours=1)
"""What the clocks may differ by. Under NTP they differ by milliseconds, and Temporal tells its time a minute
late; a wrong time zone is more."""
MAX_ROUND = 10_000
"""How many records one round looks at: a mistake that passed all else must not empty a ledger at once."""
_PAGE = 100
_REFUSED_AGAIN_AFTER = timedelta(hours=12)
"""A fleet that starts again and again must not fill the record with the same refusal."""


def now() -> datetime:
    """The time by this worker's clock."""
    return datetime.now(UTC)


def check_retention(retention: timedelta) -> None:
    """See whether a ledger may be kept that short.

    Raises:
        ConfigurationError: it is too short to mean it.
    """
    if retention < LEAST_RETENTION:
        raise ConfigurationError(
            f"ledger_retention= is at least {LEAST_RETENTION}, not {retention}: a run that is reset after "
            "the ledger forgot its writes repeats them; leave it out to keep them for 400 days"
        )


@dataclass
class LedgerPurge:
    """Has a ledger forget what is old, round by round, for one worker."""

    ledger: EffectLedger
    client: Client
    task_queue: str
    retention: timedelta
    clock: Callable[[], datetime] = now
    """The worker's."""
    _cursor: str | None = None
    """Where a round that was full ended: what stays must not be in the way of what can go."""

    async def round(self) -> Purge | None:
        """Forget what may be, and put that on record.

        Returns:
            What is on record of it; ``None`` where nothing was forgotten or refused.

        Raises:
            LedgerError: the ledger can't be used. What is gone by then is on record, if that could be done.
            temporalio.service.RPCError: Temporal can't be asked about runs now. As before.
        """
        check_retention(self.retention)
        temporal = await server_time(self.client, self.task_queue)
        if temporal is None:
            _LOG.warning(
                "ledger not purged: Temporal does not tell its time; let the worker describe its task queue",
                task_queue=self.task_queue,
            )
            return None
        clocks = {
            "Temporal's clock": temporal,
            "the ledger's": await self.ledger.clock(),
            "this worker's": self.clock(),
        }
        if max(clocks.values()) - min(clocks.values()) > MAX_APART:
            return await self._refuse(clocks, temporal)
        return await self._forget(temporal, _back(min(clocks.values()), self.retention))

    async def _refuse(self, clocks: Mapping[str, datetime], at: datetime) -> Purge | None:
        before = _back(max(clocks.values()), self.retention)
        query = EffectQuery(namespace=self.client.namespace, ended_before=before)
        if not (await self.ledger.find(query, limit=1)).effects:
            # Whichever is right, there is nothing to forget.
            return None
        said = ", ".join(f"{name} says {time.isoformat(timespec='seconds')}" for name, time in clocks.items())
        why = f"the clocks differ by more than {MAX_APART}: {said}; set the one that is wrong"
        _LOG.error("ledger not purged: the clocks differ", reason=why)
        metrics.purge_refused()
        refusal = self._made(at, before).model_copy(update={"refused": why})
        last = next((each for each in await self.ledger.purges() if each.refused), None)
        if last is None or abs(at - last.at) >= _REFUSED_AGAIN_AFTER:
            await self.ledger.keep_purge(refusal)
        return refusal

    async def _forget(self, at: datetime, before: datetime) -> Purge | None:
        forgotten = kept = 0
        needs = RunNeeds(self.client, before)
        query = EffectQuery(namespace=self.client.namespace, ended_before=before)
        cursor, self._cursor = self._cursor, None
        try:
            while True:
                page = await self.ledger.find(query, limit=_PAGE, cursor=cursor)
                going: dict[Sha256, int] = {}
                for stored in page.effects:
                    if await needs.may_need(stored.record):
                        kept += 1
                    else:
                        going[stored.record.key] = stored.version
                forgotten += await self.ledger.forget(going)
                cursor = page.cursor
                if cursor is None or forgotten + kept >= MAX_ROUND:
                    break
            self._cursor = cursor
            forgotten += await self.ledger.forget_stops(self.client.namespace, before)
        finally:
            purge = self._made(at, before).model_copy(update={"forgotten": forgotten, "kept": kept})
            if forgotten:
                _LOG.info("ledger purged", records=forgotten, kept=kept, before=before.isoformat())
                await self.ledger.keep_purge(purge)
        return purge if forgotten else None

    def _made(self, at: datetime, before: datetime) -> Purge:
        by = self.client.identity[:1_000]
        return Purge(at=at, by=by, namespace=self.client.namespace, before=before)


def _back(time: datetime, span: timedelta) -> datetime:
    try:
        return time - span
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)
