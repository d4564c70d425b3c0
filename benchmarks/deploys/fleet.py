"""The workers of one task queue: started, stopped, side by side."""

from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from decimal import Decimal

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetStickyTaskQueueRequest
from temporalio.client import Client
from temporalio.runtime import Runtime
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from agentflow import AgentClient, AgentflowPlugin
from agentflow.activity.manifest import ModelRegistry
from agentflow.contracts.model import ModelPrice
from agentflow.ports.blobs import BlobStore
from agentflow.ports.ledger import EffectLedger
from agentflow.testing.settings import TEST_MODEL, TEST_PRICE, TEST_SEAL_KEYS, FixedPrices
from benchmarks.deploys.agent import Deployed, Parts
from benchmarks.deploys.model import Clerks

OTHERS = ("scripted:other", "scripted:second")


@dataclass
class Fleet:
    """Workers of one task queue."""

    address: str
    runtime: Runtime
    queue: str
    model: Clerks
    ledger: EffectLedger
    blobs: BlobStore | None
    """``None`` gives each worker a store of its own: it reads conversations from history then."""
    _up: dict[str, AsyncExitStack] = field(default_factory=dict[str, AsyncExitStack])
    _clients: dict[str, Client] = field(default_factory=dict[str, Client])

    @property
    def agents(self) -> AgentClient:
        """A client of the fleet's."""
        return AgentClient(next(iter(self._clients.values())))

    async def start(self, name: str, release: Deployed) -> None:
        """Start a worker."""
        client = await Client.connect(
            self.address, plugins=[self._plugin(release.parts)], runtime=self.runtime
        )
        worker = Worker(
            client,
            task_queue=self.queue,
            identity=name,
            workflows=[release.clerk, release.long_clerk],
            # The agents' classes are made, not written: the sandbox could not import them.
            workflow_runner=UnsandboxedWorkflowRunner(),
            # Without the limit of two seconds for a workflow task, which a busy machine breaks.
            debug_mode=True,
        )
        self._up[name] = stack = AsyncExitStack()
        self._clients[name] = client
        await stack.enter_async_context(worker)

    async def let_go(self, run: str) -> None:
        """Let whichever worker is free take a run's next step: it replays the run from history.

        Only while nothing happens in the run: a workflow task that is under way would be lost.
        """
        client = self.agents.temporal
        request = ResetStickyTaskQueueRequest(
            namespace=client.namespace, execution=WorkflowExecution(workflow_id=run)
        )
        await client.workflow_service.reset_sticky_task_queue(request)

    async def stop(self, name: str) -> None:
        """Stop a worker; what it has under way is cut off."""
        await self._up.pop(name).aclose()

    async def stop_all(self) -> None:
        """Stop the workers that are up."""
        for name in list(self._up):
            await self.stop(name)

    def _plugin(self, parts: Parts) -> AgentflowPlugin:
        names = (TEST_MODEL, *OTHERS)
        prices = {name: _price(parts.price_factor) for name in names if parts.price_factor is not None}
        registry = ModelRegistry(
            prices=FixedPrices(prices),
            aliases={"default": TEST_MODEL, "second": OTHERS[1], **parts.aliases},
        )
        return AgentflowPlugin(
            models=registry,
            model_client=self.model,
            tools=parts.tools,
            ledger=self.ledger,
            blobs=self.blobs,
            tier="dev",
            seals=TEST_SEAL_KEYS,
            waiting_every=None,
            **parts.worker,
        )


def _price(factor: int) -> ModelPrice:
    return ModelPrice(
        input_usd_per_mtok=TEST_PRICE.input_usd_per_mtok * Decimal(factor),
        output_usd_per_mtok=TEST_PRICE.output_usd_per_mtok * Decimal(factor),
    )
