"""The worker of the reference agents: the only place where adapters meet configuration.

Run it with ``python worker.py``. Temporal's address, namespace, TLS and API key come from Temporal's own
environment variables (``TEMPORAL_ADDRESS`` …), the rest from ``AGENTFLOW_…``: see ``activities/settings.py``.
"""

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Literal

from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.runtime import Runtime
from temporalio.worker import Worker

from activities.orders import OrderTools
from activities.payments import Payments, PaymentTools
from activities.replies import Outbox, ReplyTools
from activities.settings import Settings
from activities.shop import ShopDatabase
from agentflow import AgentflowPlugin, ModelRegistry, tools_of
from agentflow.adapters.genai_prices import GenaiPriceBook
from agentflow.adapters.jwks_file import JwksFile
from agentflow.adapters.ledgers import open_ledger
from agentflow.adapters.pydantic_ai import ModelEndpoint, PydanticAIModelClient
from agentflow.adapters.requesters import SignedRequesters
from agentflow.adapters.seal_keys import load_seal_keys
from agentflow.adapters.stores import open_blobs, open_external_storage
from agentflow.adapters.webhook import Webhook
from agentflow.redaction import Redactor
from agentflow.telemetry.logs import configure_logs
from agentflow.telemetry.metering import configure_metrics
from agentflow.telemetry.tracing import configure_tracing
from workflows.support_refund import SupportRefund

REDACTOR = Redactor()


@asynccontextmanager
async def running(settings: Settings | None = None, runtime: Runtime | None = None) -> AsyncGenerator[Client]:
    """A worker, with settings from the environment by default; at the end it finishes what it has begun."""
    settings = settings or Settings.model_validate({})
    shop, outbox = ShopDatabase(settings.shop_database), Outbox(settings.outbox)
    payments = Payments(settings.payments_key.get_secret_value(), settings.payments_url)
    owners = (OrderTools(shop, payments), PaymentTools(shop, payments), ReplyTools(outbox))
    ledger = open_ledger(settings.ledger.get_secret_value())
    endpoint = ModelEndpoint(settings.model_base_url) if settings.model_base_url else ModelEndpoint()
    plugin = AgentflowPlugin(
        models=ModelRegistry(
            prices=GenaiPriceBook(settings.prices),
            aliases={"default": settings.model},
            constrained=frozenset({settings.model}) if settings.model_constrained else frozenset(),
        ),
        model_client=PydanticAIModelClient({settings.model: endpoint}),
        tools=[tool for owner in owners for tool in tools_of(owner)],
        ledger=ledger,
        blobs=open_blobs(settings.blobs),
        external_storage=open_external_storage(settings.external_storage)
        if settings.external_storage
        else None,
        tier=settings.tier,
        approvers=_approvers(settings.approvers),
        seals=load_seal_keys(settings.seals) if settings.seals else None,
        requesters=SignedRequesters(JwksFile(settings.requesters)) if settings.requesters else None,
        notifier=Webhook(settings.webhook_url, settings.webhook_secret.get_secret_value())
        if settings.webhook_url
        else None,
        redactor=REDACTOR,
    )
    config = ClientConfig.load_client_connect_config()
    client = await Client.connect(**config, plugins=[plugin], runtime=runtime)
    worker = Worker(
        client,
        task_queue=settings.task_queue,
        workflows=[SupportRefund],
        graceful_shutdown_timeout=settings.shutdown_grace,
    )
    async with worker:
        yield client
    await payments.close()
    await ledger.close()


def _approvers(said: str) -> JwksFile | Literal["trusted"] | None:
    if said == "trusted":
        return "trusted"
    return JwksFile(said) if said else None


@asynccontextmanager
async def observed(settings: Settings) -> AsyncGenerator[Runtime | None]:
    """Logs, and spans and metrics where the settings ask for them."""
    configure_logs(settings.log_format, texts=REDACTOR if settings.log_texts else None)
    spans = configure_tracing(spool=settings.spans, service="agentflow-worker") if settings.spans else None
    try:
        if settings.metrics_port is None:
            yield None
            return
        async with configure_metrics(prometheus=settings.metrics_port, service="agentflow-worker") as metrics:
            yield metrics.runtime
    finally:
        if spans is not None:
            await asyncio.to_thread(spans.shutdown)


async def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    settings = Settings.model_validate({})
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def on_signal(number: int, frame: object) -> None:
        # A second one of the kind ends the process at once: what it is waiting for may hang.
        signal.signal(number, signal.SIG_DFL)
        loop.call_soon_threadsafe(stop.set)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    async with observed(settings) as runtime, running(settings, runtime):
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(main())
