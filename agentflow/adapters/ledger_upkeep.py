"""A ledger's upkeep while a worker runs: can it be used, does it keep long enough, what may it forget."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from agentflow.errors import LedgerError
from agentflow.ports.ledger import EffectLedger
from agentflow.telemetry.logs import failure

_LOG = structlog.get_logger("agentflow")

DEFAULT_RETENTION = timedelta(days=400)
"""A year, and a month for whoever audits it."""
PURGE_INTERVAL = timedelta(hours=12)


@asynccontextmanager
async def ledger_kept(
    ledger: EffectLedger | None, retention: timedelta, client: Client
) -> AsyncGenerator[None]:
    """Check the ledger, warn of a short retention, and forget what is older while the block runs.

    A ledger that can't be reached stops no worker: reads go on, and writes fail until it is back.

    Raises:
        ConfigurationError: the ledger must be set up first.
    """
    if ledger is None:
        yield
        return
    try:
        await ledger.check()
    except LedgerError as error:
        _LOG.warning("the ledger can't be reached: no write runs until it can", **failure(error))
    await _warn_of_short_retention(retention, client)
    upkeep = asyncio.create_task(_purge(ledger, retention))
    try:
        yield
    finally:
        upkeep.cancel()
        await asyncio.gather(upkeep, return_exceptions=True)


async def _purge(ledger: EffectLedger, retention: timedelta) -> None:
    while True:
        try:
            if gone := await ledger.purge(retention):
                _LOG.info("ledger purged", records=gone, older_than=str(retention))
        except LedgerError as error:
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
