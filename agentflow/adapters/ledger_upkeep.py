"""A ledger's upkeep while a worker runs: can it be used, does it keep long enough, what may it forget."""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from agentflow.adapters.ledger_purge import LedgerPurge, check_retention
from agentflow.errors import LedgerError
from agentflow.ports.ledger import EffectLedger
from agentflow.telemetry.logs import failure

_LOG = structlog.get_logger("agentflow")

DEFAULT_RETENTION = timedelta(days=400)
"""A year, and a month for whoever audits it."""
PURGE_INTERVAL = timedelta(hours=12)
PURGE_DELAY = timedelta(minutes=1)
"""How long a worker waits at most before a round."""


@asynccontextmanager
async def ledger_kept(
    ledger: EffectLedger | None, retention: timedelta, client: Client, task_queue: str
) -> AsyncGenerator[None]:
    """Check the ledger, warn of a short retention, and forget what is older while the block runs.

    A ledger that can't be reached stops no worker: reads go on, and writes fail until it is back.

    Args:
        ledger: The worker's, if it has one.
        retention: How long it keeps what has ended.
        client: The worker's.
        task_queue: What the worker polls: the server tells its time by that.

    Raises:
        ConfigurationError: the ledger must be set up first, or may not be kept that short.
    """
    if ledger is None:
        yield
        return
    check_retention(retention)
    try:
        await ledger.check()
    except LedgerError as error:
        _LOG.warning("the ledger can't be reached: no write runs until it can", **failure(error))
    await _warn_of_short_retention(retention, client)
    upkeep = asyncio.create_task(_purge(LedgerPurge(ledger, client, task_queue, retention)))
    try:
        yield
    finally:
        upkeep.cancel()
        await asyncio.gather(upkeep, return_exceptions=True)


async def _purge(purge: LedgerPurge) -> None:
    while True:
        # The worker must have asked for tasks first, for Temporal to tell its time; and a fleet that starts
        # at once must not come at once.
        await asyncio.sleep(PURGE_DELAY.total_seconds() * random.uniform(0.5, 1))  # noqa: S311 - no secret
        try:
            await purge.round()
        except Exception as error:
            _LOG.warning("ledger not purged", **failure(error))
        await asyncio.sleep(PURGE_INTERVAL.total_seconds())


async def _warn_of_short_retention(retention: timedelta, client: Client) -> None:
    request = DescribeNamespaceRequest(namespace=client.namespace)
    try:
        answer = await client.workflow_service.describe_namespace(request, timeout=timedelta(seconds=10))
    except RPCError:
        # A worker's credentials need not allow it.
        return
    kept = answer.config.workflow_execution_retention_ttl.ToTimedelta()
    if retention <= kept:
        _LOG.warning(
            "the ledger forgets sooner than Temporal: a run that is reset after that would repeat its writes",
            ledger_retention=str(retention),
            namespace_retention=str(kept),
        )
