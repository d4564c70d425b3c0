"""Heartbeats by themselves, as long as the event loop runs."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

from temporalio import activity

DEFAULT_TIMEOUT = timedelta(seconds=20)


@asynccontextmanager
async def heartbeating() -> AsyncGenerator[None]:
    """Beat three times within each heartbeat time-out while the block runs.

    It is also how a cancelled run is heard of: Temporal answers a heartbeat with the cancellation,
    and the block's next ``await`` raises ``asyncio.CancelledError``.
    """
    timeout = activity.info().heartbeat_timeout or DEFAULT_TIMEOUT
    beating = asyncio.create_task(_beat(timeout.total_seconds() / 3))
    try:
        yield
    finally:
        beating.cancel()


async def _beat(interval: float) -> None:
    # The first beat comes late: a call that takes less than that costs no request to Temporal.
    while True:
        await asyncio.sleep(interval)
        activity.heartbeat()
