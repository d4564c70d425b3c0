"""The outside systems of the reference agents, on this machine: a payments server and a seeded shop."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from activities.payments import Payments
from activities.payments_server import PaymentsServer
from activities.shop import ShopDatabase
from activities.shop_seed import seed

LOCAL_KEY = "sk_test_local"
"""Any key that looks like one of Stripe's test keys: the local server asks for no more."""


@asynccontextmanager
async def local_stack(directory: Path) -> AsyncGenerator[Mapping[str, str]]:
    """Start the systems and answer the worker's environment for them.

    Args:
        directory: Where the databases are kept.
    """
    async with PaymentsServer() as server:
        environment = {
            "AGENTFLOW_TIER": "dev",
            "AGENTFLOW_PAYMENTS_URL": server.base_url,
            "AGENTFLOW_PAYMENTS_KEY": LOCAL_KEY,
            "AGENTFLOW_SHOP_DATABASE": str(directory / "shop.sqlite"),
            "AGENTFLOW_OUTBOX": str(directory / "outbox.sqlite"),
            "AGENTFLOW_LEDGER": str(directory / "ledger.sqlite"),
            "AGENTFLOW_BLOBS": str(directory / "blobs"),
        }
        # The payments server starts empty, so a shop of an earlier start would name charges that are gone.
        await asyncio.to_thread((directory / "shop.sqlite").unlink, missing_ok=True)
        payments = Payments(LOCAL_KEY, server.base_url)
        try:
            await seed(ShopDatabase(directory / "shop.sqlite"), payments)
        finally:
            await payments.close()
        yield environment
