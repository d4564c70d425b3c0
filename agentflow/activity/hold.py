"""One attempt's hold on its record in the ledger: how it is taken, kept and given up."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar

import structlog

from agentflow.activity.ledger_calls import LedgerCalls
from agentflow.activity.moment import Moment
from agentflow.contracts.effects import EffectRecord, StoredEffect
from agentflow.contracts.wire import Sha256
from agentflow.core import effects
from agentflow.core.record_seals import Unsealed
from agentflow.errors import EffectBusyError, LedgerError, ToolUnavailableError
from agentflow.telemetry.logs import failure

_LOG = structlog.get_logger("agentflow")

ResultT = TypeVar("ResultT")

MAX_LEASE = timedelta(seconds=60)
"""An attempt that may take longer renews its lease: a dead one must not hold its call up for hours."""
TRIES = 3
"""How often an operation of the ledger is tried in one attempt; Temporal tries again after that."""
PAUSE_SECONDS = 0.3
"""Before the second try; each further pause is twice as long."""
RACES = 5
"""How often a record may change between a look and a write before the attempt comes back later."""


class Hold:
    """The record of one call, as one attempt sees and changes it. Each change compares versions."""

    def __init__(self, ledger: LedgerCalls, intent: EffectRecord) -> None:
        self._ledger = ledger
        self.record: EffectRecord = intent
        """As this attempt wrote it last, or would like to."""
        self._version = 0
        self._since = Moment(0.0, 0.0)
        """When the lease began: before the write that the ledger has stamped."""
        # A renewal may be under way when the attempt ends: its write and the last one must not cross.
        self._one_write = asyncio.Lock()

    @property
    def version(self) -> int:
        """The record's version as this attempt wrote it last: it only grows, from attempt to attempt."""
        return self._version

    @property
    def is_over(self) -> bool:
        """Whether the lease that was written last is over, by this process's clocks."""
        return self._since.seconds_ago() >= self.record.lease.total_seconds()

    async def others(self, beside: Collection[Sha256]) -> StoredEffect | Unsealed | None:
        """The first effect of an earlier run that a call would repeat; ``None`` if there is none."""
        work = self.record.work
        found = await tried(lambda: self._ledger.of_work(work)) if work else ()
        return effects.earlier(found, self.record, beside)

    async def found(self, key: Sha256) -> StoredEffect | Unsealed | None:
        """The record of another call."""
        return await tried(lambda: self._ledger.get(key))

    async def begin(self, first: EffectRecord) -> StoredEffect | Unsealed | None:
        """Insert a record of ours if the key is free; answer what is there if it isn't."""
        for _ in range(RACES):
            began = Moment.now()
            if await tried(lambda: self._ledger.insert(first)):
                self._took(first, 1, began)
                return None
            found = await tried(lambda: self._ledger.get(first.key))
            if found is None:
                continue  # purged meanwhile: the key is free again
            if isinstance(found, Unsealed):
                return found
            if found.record.owner == first.owner and found.record.state == first.state:
                # The ledger took the first try, and its answer was lost.
                self._took(found.record, found.version, began)
                return None
            return found
        raise self._raced()

    async def take(self, found: StoredEffect, changed: EffectRecord) -> None:
        """Put our record in the place of what was found.

        Raises:
            EffectBusyError: another attempt was faster.
        """
        self._version = found.version
        if not await self.write(changed):
            raise self._raced()

    async def write(self, changed: EffectRecord, *, tries: int = TRIES) -> bool:
        """Change our record; ``False`` if it isn't ours any more."""
        async with self._one_write:
            return await self._write(changed, tries)

    async def end(self, changed: EffectRecord, *, tries: int) -> StoredEffect | Unsealed | None:
        """Record an end that is known for certain; answer the record that speaks against it, if one does."""
        for _ in range(RACES):
            if await self.write(changed, tries=tries):
                return None
            found = await tried(lambda: self._ledger.get(changed.key), tries)
            if found is None or isinstance(found, Unsealed):
                return found
            if not effects.knows_better(found, self.record):
                return found
            self._version = found.version
        raise self._raced()

    async def leave(self, wait: timedelta, detail: str) -> None:
        """Begin nothing more; what was begun may have its effect for this long."""
        await self._best_effort(self.write(effects.left(self.record, wait, detail)))

    async def outlive(self, lease: timedelta, detail: str) -> bool:
        """Keep others from acting while what an ended attempt began still runs; ``False`` if it isn't ours.

        Raises:
            LedgerError: it could not be written; the lease before goes on.
        """
        return await self.write(effects.outlived(self.record, lease, detail))

    async def withdraw(self) -> bool:
        """Nothing was begun, and whoever comes next begins anew; answer whether that is on record."""
        return await self._best_effort(self.write(effects.withdrawn(self.record)))

    @asynccontextmanager
    async def at_work(self, limit: timedelta, delay: timedelta) -> AsyncGenerator[None]:
        """Let the block run for as long as the lease holds, and renew it where the attempt may take longer.

        Args:
            limit: The longest time the attempt may take.
            delay: ``ToolOptions.max_effect_delay``, which the lease has on top.

        Raises:
            ToolUnavailableError: the ledger was so slow that the lease is over; the block was not begun.
            TimeoutError: the time is over, or the lease was lost; the block was cancelled.
        """
        lease = min(limit, MAX_LEASE)
        if self._since.seconds_ago() >= lease.total_seconds():
            raise ToolUnavailableError(f"the ledger took longer to answer than {self.record.tool} may take")
        async with asyncio.timeout_at(self._since.loop + lease.total_seconds()) as clock:
            if limit <= MAX_LEASE:
                yield
                return
            renewing = asyncio.create_task(self._renew(clock, lease, delay))
            try:
                yield
            finally:
                renewing.cancel()

    async def _write(self, changed: EffectRecord, tries: int) -> bool:
        began = Moment.now()
        if await tried(lambda: self._ledger.replace(changed, self._version), tries):
            self._took(changed, self._version + 1, began)
            return True
        found = await tried(lambda: self._ledger.get(changed.key), tries)
        if found is None or isinstance(found, Unsealed) or not _is_same_change(found.record, changed):
            return False
        # An earlier try was taken, and its answer was lost.
        self._took(found.record, found.version, began)
        return True

    def _took(self, record: EffectRecord, version: int, began: Moment) -> None:
        self.record, self._version, self._since = record, version, began

    async def _renew(self, clock: asyncio.Timeout, lease: timedelta, delay: timedelta) -> None:
        while True:
            await asyncio.sleep(lease.total_seconds() / 3)
            try:
                kept = await asyncio.shield(self.write(effects.renewed(self.record, lease + delay)))
            except LedgerError as error:
                _LOG.warning("lease not renewed", key=self.record.key, **failure(error))
                continue  # the clock runs on: if no later try succeeds, it ends the attempt
            if clock.expired():
                return
            clock.reschedule(self._since.loop + lease.total_seconds() if kept else 0)
            if not kept:
                return

    async def _best_effort(self, change: Awaitable[bool]) -> bool:
        """What can't be written leaves the record as it was: in doubt for longer, and no less safe."""
        try:
            return await change
        except LedgerError as error:
            _LOG.warning("ledger not updated", key=self.record.key, **failure(error))
            return False

    def _raced(self) -> EffectBusyError:
        return EffectBusyError(
            f"another attempt of {self.record.tool} is changing its record (key {self.record.key})",
            retry_after=timedelta(seconds=1),
        )


async def to_the_end(work: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Wait for work that a cancelled attempt still has to do, such as recording what has happened.

    The cancellation is heard and answered with the result: the attempt ends right after it anyway.
    """
    task = asyncio.ensure_future(work)
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            continue
        except Exception:
            break
    return task.result()


def heed_cancellation() -> None:
    """End here if the attempt was cancelled during work that was done to the end.

    Raises:
        asyncio.CancelledError: it was.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def tried(operation: Callable[[], Awaitable[ResultT]], tries: int = TRIES) -> ResultT:
    """Try an operation of the ledger some times: most outages are short.

    Raises:
        LedgerError: it failed each time.
    """
    pause = PAUSE_SECONDS
    for left in reversed(range(tries)):
        try:
            return await operation()
        except LedgerError:
            if not left:
                raise
        await asyncio.sleep(pause)
        pause *= 2
    raise AssertionError("the last try returns or raises")


def _is_same_change(found: EffectRecord, wanted: EffectRecord) -> bool:
    return (found.owner, found.state, found.attempts, found.lease) == (
        wanted.owner,
        wanted.state,
        wanted.attempts,
        wanted.lease,
    )
