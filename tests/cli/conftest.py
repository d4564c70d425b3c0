"""A worker in a process of its own, as it is in real life, and the command line beside it."""

from collections.abc import Iterator

import pytest
from temporalio.testing import WorkflowEnvironment

from tests.cli.harness import TASK_QUEUE, CommandLine


@pytest.fixture(scope="session")
def address(temporal: WorkflowEnvironment) -> str:
    return temporal.client.service_client.config.target_host


@pytest.fixture(scope="session")
def agentflow(address: str) -> Iterator[CommandLine]:
    """The command line, against a server with a worker for ``Cashier``."""
    command = CommandLine(address)
    with command.worker(TASK_QUEUE) as worker:
        assert worker.stdin
        yield command
        worker.stdin.close()
