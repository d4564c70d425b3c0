"""Where attacks are made: a Temporal server, the worker under attack, a twin, and a stranger's worker."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from temporalio.client import Client, WorkflowHandle
from temporalio.runtime import Runtime
from temporalio.worker import Worker

from agentflow import AgentClient, AgentOutcome, AgentTask, tools_of
from agentflow.adapters.dev_server import DevServer
from agentflow.adapters.seal_keys import new_seal_keys
from agentflow.cli.connection import silent_runtime
from agentflow.contracts.names import SEARCH_ATTRIBUTES
from agentflow.core.seal import SealKeys
from agentflow.testing import MemoryLedger, ScriptedModel, scripted_plugin
from benchmarks.attacks.bank import Cashier, Teller
from benchmarks.attacks.books import Books
from benchmarks.attacks.strangers import Impostor, Stranger

STRANGERS = "strangers"
"""The task queue of the stranger's own worker."""


class Gullible(SealKeys):
    """Keys that take every seal for one of theirs: what a worker without the check would do."""

    def is_genuine(self, kid: str, message: bytes, mac: bytes) -> bool:
        """Believe it."""
        return True


@dataclass
class Target:
    """A worker, and what it has in its hands."""

    client: Client
    task_queue: str
    books: Books
    model: ScriptedModel
    ledger: MemoryLedger
    agents: AgentClient = field(init=False)

    def __post_init__(self) -> None:
        self.agents = AgentClient(self.client)

    async def start(
        self, text: str, agent: type = Cashier, *, id: str | None = None, **task: Any
    ) -> WorkflowHandle[Any, Any]:
        """Start a run."""
        made = AgentTask(**{"input": text, "requested_by": "inbox", **task})
        workflow_id = await self.agents.start(
            agent, made, task_queue=self.task_queue, workflow_id=id or f"run-{uuid4()}"
        )
        return self.client.get_workflow_handle(workflow_id, result_type=AgentOutcome[Any])


@dataclass
class Stage:
    """The server, and whatever workers a family of attacks wants on it."""

    server: DevServer
    directory: Path
    client: Client
    """A stranger's."""
    runtime: Runtime
    """Which keeps to itself what attacks make it warn of."""

    @asynccontextmanager
    async def target(self, model: ScriptedModel, **settings: Any) -> AsyncIterator[Target]:
        """A worker of the bank's; the settings are its own and ``AgentflowPlugin``'s."""
        books, ledger = settings.pop("books", None) or Books(), settings.pop("ledger", None) or MemoryLedger()
        queue = settings.pop("task_queue", None) or f"bank-{uuid4()}"
        workflows = settings.pop("workflows", (Cashier, Teller))
        plugin = scripted_plugin(model, tools=tools_of(books), ledger=ledger, **settings)
        client = await Client.connect(self.server.address, plugins=[plugin], runtime=self.runtime)
        async with Worker(client, task_queue=queue, workflows=workflows):
            yield Target(client, queue, books, model, ledger)

    @asynccontextmanager
    async def strangers(self) -> AsyncIterator[None]:
        """A stranger's worker."""
        async with Worker(self.client, task_queue=STRANGERS, workflows=[Stranger, Impostor]):
            yield


@asynccontextmanager
async def staged() -> AsyncIterator[Stage]:
    """A server for as long as the block."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="agentflow-attacks-")))
        server = await stack.enter_async_context(
            DevServer(ui=False, search_attributes=SEARCH_ATTRIBUTES, log_level="never")
        )
        runtime = silent_runtime()
        yield Stage(server, directory, await Client.connect(server.address, runtime=runtime), runtime)


def gullible_keys() -> Gullible:
    """New keys that believe every seal."""
    keys = new_seal_keys()
    return Gullible(keys.current, keys.keys)
