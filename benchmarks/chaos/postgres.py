"""A PostgreSQL server for the ledger, which ends with the chaos run."""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from agentflow.adapters.process import LocalProcess

# The server's processes are no children of pgserver's, so it has to be asked to end them.
_SERVE = """
import signal, sys
from pathlib import Path
import pgserver

signal.signal(signal.SIGTERM, lambda *_: sys.exit())
server = pgserver.get_server(sys.argv[1], cleanup_mode="delete")
ready = Path(sys.argv[2])
ready.with_suffix(".new").write_text(server.get_uri())
ready.with_suffix(".new").rename(ready)
signal.pause()
"""


@asynccontextmanager
async def postgres(directory: Path) -> AsyncGenerator[str]:
    """The directory of an empty server's socket."""
    found = directory / "postgres-uri"

    async def ready() -> bool:
        return found.exists()

    command = [sys.executable, "-W", "ignore", "-c", _SERVE, str(directory / "postgres"), str(found)]
    async with LocalProcess(
        "postgres",
        command,
        ready=ready,
        timeout=timedelta(seconds=60),
        grace=timedelta(seconds=20),
        log_path=directory / "postgres.log",
    ):
        yield parse_qs(urlsplit(found.read_text()).query)["host"][0]
