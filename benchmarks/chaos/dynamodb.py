"""A DynamoDB server for the ledger, as moto has it, which ends with the chaos run."""

import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from agentflow.adapters.process import HOST, LocalProcess, answers_http, start_on_ports

REGION = "us-east-1"

# One request at a time: moto's own checks of conditions are not atomic, as DynamoDB's are.
_SERVE = """
import sys
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

run_simple(sys.argv[1], int(sys.argv[2]), DomainDispatcherApplication(create_backend_app), threaded=False)
"""

# Nobody's credentials are ever sent there, whatever this machine has.
_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "chaos",
    "AWS_SECRET_ACCESS_KEY": "chaos",
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@asynccontextmanager
async def dynamodb(directory: Path) -> AsyncGenerator[int]:
    """The port of a server without tables."""
    os.environ.update(_CREDENTIALS)
    os.environ.pop("AWS_PROFILE", None)

    def launch(ports: tuple[int, ...]) -> LocalProcess:
        (port,) = ports
        return LocalProcess(
            "dynamodb",
            [sys.executable, "-c", _SERVE, HOST, str(port)],
            ready=answers_http(port, "/moto-api/"),
            log_path=directory / "dynamodb.log",
        )

    process, (port,) = await start_on_ports(launch, None)
    try:
        yield port
    finally:
        await process.stop()
