"""A worker in a process of its own, as it is in real life, and the command line beside it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from temporalio.testing import WorkflowEnvironment

from tests.cli.harness import TASK_QUEUE, CommandLine


@pytest.fixture(scope="session")
def address(temporal: WorkflowEnvironment) -> str:
    return temporal.client.service_client.config.target_host


@pytest.fixture(scope="session")
def agentflow(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """The command line, against a server with a worker for ``Cashier``."""
    command = CommandLine(address, tmp_path_factory.mktemp("cashier") / "ledger.sqlite")
    with command.worker(TASK_QUEUE):
        yield command


@pytest.fixture
def beside(agentflow: CommandLine, tmp_path: Path) -> CommandLine:
    """The same command line with an effect ledger of the test's own, which isn't there yet."""
    return replace(agentflow, ledger=tmp_path / "ledger.sqlite")
