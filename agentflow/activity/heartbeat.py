"""Heartbeats by themselves, as long as the event loop runs."""

import asyncio
from datetime import timedelta
from types import TracebackType

from temporalio import activity

DEFAULT_TIMEOUT = timedelta(seconds=20)


class heartbeating:  # noqa: N801 - read as a phrase: with heartbeating()
    """Beat three times within each heartbeat time-out while the block runs.

    It is also how a cancelled run is heard of: Temporal answers a heartbeat with the cancellation,
    and the block's next ``await`` raises ``asyncio.CancelledError``.

    The first beat comes late, and no task is made for it: a call that takes less than that costs no request
    to Temporal, and next to nothing here.
    """

    def __enter__(self) -> None:
        """Set the first beat."""
        timeout = activity.info().heartbeat_timeout or DEFAULT_TIMEOUT
        self._interval = timeout.total_seconds() / 3
        self._loop = asyncio.get_running_loop()
        self._next = self._loop.call_later(self._interval, self._beat)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Beat no more."""
        self._next.cancel()

    def _beat(self) -> None:
        self._next = self._loop.call_later(self._interval, self._beat)
        activity.heartbeat()
