"""Temporal's dev server as a child process. Extra: ``local``."""

import json
import shutil
import sysconfig
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Literal, Self

from agentflow.adapters.process import HOST, LocalProcess, answers_http, start_on_ports
from agentflow.core.durations import checked
from agentflow.errors import MissingExtraError

LogLevel = Literal["debug", "info", "warn", "error", "never"]


class DevServer:
    """``temporal server start-dev`` on this machine, from ``async with`` to the end of its block."""

    def __init__(
        self,
        *,
        port: int | None = None,
        ui_port: int | None = None,
        ui: bool = True,
        namespace: str = "default",
        database: Path | None = None,
        search_attributes: Mapping[str, str] | None = None,
        dynamic_config: Mapping[str, object] | None = None,
        log_level: LogLevel = "warn",
        log_path: Path | None = None,
        timeout: timedelta = timedelta(seconds=30),
    ) -> None:
        """Describe the server; nothing is started yet.

        Args:
            port: Of the gRPC service; a free one by default.
            ui_port: Of the Web UI; a free one by default.
            ui: Whether there is a Web UI.
            namespace: Made at the start if it isn't there.
            database: SQLite file that keeps workflows across restarts; in memory by default.
            search_attributes: Type by name, such as ``{"AgentName": "Keyword"}``.
            dynamic_config: JSON value by key, such as ``{"frontend.WorkflowTimeSkippingEnabled": True}``.
            log_level: What the server logs.
            log_path: Where it logs; by default a file that goes away with the server.
            timeout: How long it may take to be ready.
        """
        self.namespace = namespace
        self._port = port
        self._ui_port = ui_port
        self._ui = ui
        self._database = database
        self._search_attributes = search_attributes or {}
        self._dynamic_config = dynamic_config or {}
        self._log_level = log_level
        self._log_path = log_path
        self._timeout = checked("timeout", timeout)
        self._process: LocalProcess | None = None
        self._ports: tuple[int, ...] = ()

    @property
    def address(self) -> str:
        """``host:port`` of the gRPC service, once started."""
        return f"{HOST}:{self._ports[0]}"

    @property
    def web_url(self) -> str:
        """Address of the Web UI, once started; empty without one."""
        return f"http://{HOST}:{self._ports[2]}" if self._ui else ""

    async def start(self) -> None:
        """Start the server and wait until its namespace can be used.

        Raises:
            MissingExtraError: there is no ``temporal`` binary.
            LocalProcessError: a port is taken, or the server didn't come up.
        """
        binary = temporal_binary()
        ports = (self._port, None, self._ui_port) if self._ui else (self._port, None)
        self._process, self._ports = await start_on_ports(lambda chosen: self._launch(binary, chosen), *ports)

    async def stop(self) -> None:
        """End the server. Does nothing the second time."""
        if self._process:
            await self._process.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _launch(self, binary: str, ports: tuple[int, ...]) -> LocalProcess:
        port, http_port, *ui_port = ports
        return LocalProcess(
            "temporal",
            [
                *(binary, "server", "start-dev"),
                *("--ip", HOST, "--port", str(port), "--http-port", str(http_port)),
                *(("--ui-port", str(ui_port[0])) if ui_port else ("--headless",)),
                *("--namespace", self.namespace),
                *(("--db-filename", str(self._database)) if self._database else ()),
                *_repeated("--search-attribute", self._search_attributes),
                *_repeated(
                    "--dynamic-config-value",
                    {key: json.dumps(value) for key, value in self._dynamic_config.items()},
                ),
                *("--log-level", self._log_level, "--color", "never"),
            ],
            # The gRPC port opens before the namespace is there. And a gRPC client here would create
            # temporalio's default runtime, which the caller could then no longer configure.
            ready=answers_http(http_port, f"/api/v1/namespaces/{self.namespace}"),
            timeout=self._timeout,
            log_path=self._log_path,
        )


def temporal_binary() -> str:
    """Path of the ``temporal`` binary: the one beside this interpreter, else the one on ``PATH``.

    Raises:
        MissingExtraError: there is none.
    """
    beside = shutil.which("temporal", path=sysconfig.get_path("scripts"))
    found = beside or shutil.which("temporal")
    if found is None:
        raise MissingExtraError("Temporal's dev server", "local")
    return found


def _repeated(flag: str, values: Mapping[str, str]) -> list[str]:
    return [argument for key, value in values.items() for argument in (flag, f"{key}={value}")]
