"""A Temporal dev server that can be killed, and started again on the same port and file."""

import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Self

from agentflow.adapters.dev_server import temporal_binary
from agentflow.adapters.process import HOST, LocalProcess, answers_http, start_on_ports
from agentflow.contracts.names import SEARCH_ATTRIBUTES

NAMESPACE = "default"

# The server is the child of a supervisor, which would first ask it to end: a crash asks nobody.
_WITH_PID_FILE = (
    "import os, sys; open(sys.argv[1], 'w').write(str(os.getpid())); os.execv(sys.argv[2], sys.argv[2:])"
)


class CrashingTemporal:
    """From ``async with`` to the end of its block, with crashes in between."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._pid_file = directory / "temporal.pid"
        self._process: LocalProcess | None = None
        self._ports: tuple[int, ...] = ()
        self.crashes = 0

    @property
    def address(self) -> str:
        """``host:port``, the same after each crash."""
        return f"{HOST}:{self._ports[0]}"

    async def crash(self) -> None:
        """Kill the server with SIGKILL and start it again."""
        assert self._process is not None
        os.kill(int(self._pid_file.read_text()), signal.SIGKILL)
        await self._process.stop()
        self.crashes += 1
        await self._start(*self._ports)

    async def __aenter__(self) -> Self:
        await self._start(None, None)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process:
            await self._process.stop()

    async def _start(self, *ports: int | None) -> None:
        self._process, self._ports = await start_on_ports(self._launch, *ports)

    def _launch(self, ports: tuple[int, ...]) -> LocalProcess:
        port, http_port = ports
        attributes = [f"{name}={kind}" for name, kind in SEARCH_ATTRIBUTES.items()]
        return LocalProcess(
            "temporal",
            [
                *(sys.executable, "-I", "-S", "-c", _WITH_PID_FILE, str(self._pid_file)),
                *(temporal_binary(), "server", "start-dev", "--headless", "--ip", HOST),
                *("--port", str(port), "--http-port", str(http_port), "--namespace", NAMESPACE),
                *("--db-filename", str(self._directory / "temporal.sqlite")),
                *(part for attribute in attributes for part in ("--search-attribute", attribute)),
                *("--log-level", "error", "--color", "never"),
            ],
            ready=answers_http(http_port, f"/api/v1/namespaces/{NAMESPACE}"),
            grace=timedelta(0),
            log_path=self._directory / "temporal.log",
        )
