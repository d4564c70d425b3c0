"""A worker in a process of its own, as it is in real life, and the command line beside it."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from temporalio.testing import WorkflowEnvironment

from tests.cli.harness import ROOT, TASK_QUEUE, CommandLine


@pytest.fixture(scope="session")
def address(temporal: WorkflowEnvironment) -> str:
    return temporal.client.service_client.config.target_host


@pytest.fixture(scope="session")
def agentflow(address: str) -> Iterator[CommandLine]:
    """The command line, against a server with a worker for ``Cashier``."""
    command = CommandLine(address)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.cli.worker", TASK_QUEUE],
        env=command.environment(),
        cwd=ROOT,
        stdin=subprocess.PIPE,
    ) as worker:
        assert worker.stdin
        yield command
        worker.stdin.close()
