"""Everything a project needs to run on this machine: server, model, outside systems, worker."""

import json
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from temporalio.client import Client
from temporalio.runtime import Runtime

from agentflow.adapters.dev_server import DevServer
from agentflow.adapters.local_model import LocalModel
from agentflow.cli.connection import silent_runtime
from agentflow.cli.model_choice import LOCAL_PRICE, ModelChoice
from agentflow.cli.project import Project
from agentflow.contracts.names import SEARCH_ATTRIBUTES

TASK_QUEUE = "agentflow"

Progress = Callable[[str], None]


def steps(console: Console) -> Progress:
    """Tells a console of each step of the start."""
    return lambda step: console.print(f"{step} …", style="dim")


@dataclass(frozen=True)
class RunningStack:
    """What is running, and how to reach it."""

    client: Client
    address: str
    web_url: str
    environment: Mapping[str, str]
    """What the worker was configured with."""
    task_queue: str = TASK_QUEUE


@asynccontextmanager
async def running_stack(
    project: Project,
    model: ModelChoice,
    directory: Path,
    progress: Progress,
    *,
    ports: tuple[int, int] | None = None,
    database: Path | None = None,
) -> AsyncGenerator[RunningStack]:
    """Start everything, in order; stop it in the reverse order when the block ends, however it ends.

    Args:
        project: Names the worker and the outside systems.
        model: What to run; a local one is served here.
        directory: Where databases and logs are kept.
        progress: Told of each step.
        ports: Of Temporal and of its Web UI; free ones by default.
        database: Keeps Temporal's state across restarts; in memory by default.
    """
    # Temporal's core logs to standard output, where results go.
    Runtime.set_default(silent_runtime(), error_if_already_set=False)
    async with AsyncExitStack() as stack:
        progress("starting Temporal")
        server = await stack.enter_async_context(
            DevServer(
                port=ports[0] if ports else None,
                ui_port=ports[1] if ports else None,
                database=database,
                search_attributes=SEARCH_ATTRIBUTES,
            )
        )
        environment = {
            "TEMPORAL_ADDRESS": server.address,
            "TEMPORAL_NAMESPACE": server.namespace,
            "AGENTFLOW_TASK_QUEUE": TASK_QUEUE,
            "AGENTFLOW_MODEL": model.name,
            # Whoever presses Ctrl-C here wants it to end, and Temporal takes up what was cut short.
            "AGENTFLOW_SHUTDOWN_GRACE": "PT1S",
        }
        if model.is_local:
            progress("loading the local model")
            environment |= await stack.enter_async_context(_served(model))
        if project.stack:
            progress("starting the outside systems")
            local_stack: Callable[[Path], AbstractAsyncContextManager[Mapping[str, str]]] = project.load(
                "stack"
            )
            environment |= await stack.enter_async_context(local_stack(directory))
        progress("starting the worker")
        # The worker reads its environment as it would anywhere else.
        os.environ.update(environment)
        worker: Callable[[], AbstractAsyncContextManager[Client]] = project.load("worker")
        client = await stack.enter_async_context(worker())
        yield RunningStack(client, server.address, server.web_url, environment)


@asynccontextmanager
async def _served(model: ModelChoice) -> AsyncGenerator[dict[str, str]]:
    async with LocalModel(model.gguf) as served:
        yield {
            "AGENTFLOW_MODEL_BASE_URL": served.base_url,
            "AGENTFLOW_MODEL_CONSTRAINED": "true",
            "AGENTFLOW_PRICES": json.dumps({model.name: json.loads(LOCAL_PRICE)}),
        }
