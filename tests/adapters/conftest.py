"""Servers for ledgers and stores, once a session. None outlives the tests, even when these are killed."""

import importlib.util
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from agentflow.adapters.process import HOST, LocalProcess, answers_http, start_on_ports
from tests.adapters.ledger_places import (
    DynamoDBPlace,
    MemoryPlace,
    Place,
    PostgresPlace,
    SQLitePlace,
    kept,
)
from tests.adapters.s3_server import KEY_ID, SECRET, S3Server, serving_s3

# The server's processes are no children of pgserver's, so it has to be asked to end them.
POSTGRES = """
import atexit, shutil, signal, sys
from pathlib import Path
import pgserver

atexit.register(shutil.rmtree, Path(sys.argv[1]).parent, ignore_errors=True)
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
server = pgserver.get_server(sys.argv[1], cleanup_mode="delete")
ready = Path(sys.argv[2])
ready.with_suffix(".new").write_text(server.get_uri())
ready.with_suffix(".new").rename(ready)
signal.pause()
"""

# One request at a time: moto's own checks of conditions are not atomic, as DynamoDB's are.
DYNAMODB = """
import sys
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

run_simple(sys.argv[1], int(sys.argv[2]), DomainDispatcherApplication(create_backend_app), threaded=False)
"""


@pytest.fixture(scope="session")
def aws_credentials() -> Iterator[None]:
    """The S3 server's credentials for all of AWS, so that no test ever uses somebody's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patch.setenv("AWS_CONFIG_FILE", "/nonexistent")
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        patch.delenv("AWS_PROFILE", raising=False)
        yield


@pytest.fixture(scope="session")
async def s3(tmp_path_factory: pytest.TempPathFactory, aws_credentials: None) -> AsyncIterator[S3Server]:
    """An S3 server; its credentials are where boto3 looks for them."""
    async with serving_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="session")
async def postgres_server() -> AsyncIterator[str]:
    """The connection string of an empty PostgreSQL server."""
    if importlib.util.find_spec("pgserver") is None:
        pytest.skip("pgserver has no build for this Python")
    # Not pytest's own temporary directory: the server's user can't enter it.
    with tempfile.TemporaryDirectory(prefix="agentflow-postgres-") as directory:
        os.chmod(directory, 0o755)
        uri = os.path.join(directory, "uri")

        async def ready() -> bool:
            return os.path.exists(uri)  # noqa: ASYNC240

        command = [sys.executable, "-W", "ignore", "-c", POSTGRES, f"{directory}/data", uri]
        async with LocalProcess(
            "postgres", command, ready=ready, timeout=timedelta(seconds=60), grace=timedelta(seconds=20)
        ):
            with open(uri) as file:  # noqa: ASYNC230 - a line
                yield file.read()


@pytest.fixture(scope="session")
async def dynamodb_server() -> AsyncIterator[str]:
    """The endpoint of an empty DynamoDB, as moto has it."""

    def launch(ports: tuple[int, ...]) -> LocalProcess:
        (port,) = ports
        return LocalProcess(
            "dynamodb",
            [sys.executable, "-c", DYNAMODB, HOST, str(port)],
            ready=answers_http(port, "/moto-api/"),
        )

    process, (port,) = await start_on_ports(launch, None)
    try:
        yield f"http://{HOST}:{port}"
    finally:
        await process.stop()


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[Place]:
    async with kept(SQLitePlace(tmp_path / "ledger.sqlite")) as place:
        yield place


@pytest.fixture
async def postgres(postgres_server: str) -> AsyncIterator[Place]:
    async with kept(PostgresPlace(postgres_server)) as place:
        yield place


@pytest.fixture
async def dynamodb(dynamodb_server: str, aws_credentials: None) -> AsyncIterator[Place]:
    async with kept(DynamoDBPlace(dynamodb_server)) as place:
        yield place


@pytest.fixture
async def memory() -> AsyncIterator[Place]:
    async with kept(MemoryPlace()) as place:
        yield place


@pytest.fixture(params=["sqlite", "postgres", "dynamodb", "memory"])
def place(request: pytest.FixtureRequest) -> Place:
    """Where a ledger is kept; each test runs once with each kind."""
    return request.getfixturevalue(request.param)
