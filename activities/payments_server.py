"""A payments server on this machine that speaks Stripe's API: ``localstripe`` as a child process."""

import sys
from importlib.util import find_spec
from typing import Self

from agentflow.adapters.process import HOST, LocalProcess, answers_http, start_on_ports
from agentflow.errors import ConfigurationError

# `python -m localstripe` listens on every interface, fails where there is no IPv6, and writes all it holds
# to one file in /tmp at each change, which another user's server may own.
_SERVE = """
import sys
from aiohttp import web
from localstripe import resources, server

resources.Store.dump_to_disk = lambda store: None
web.run_app(server.app, host=sys.argv[1], port=int(sys.argv[2]))
"""


class PaymentsServer:
    """An empty payments server, from ``async with`` to the end of its block."""

    def __init__(self, port: int | None = None) -> None:
        """Describe the server; nothing is started yet.

        Args:
            port: Where it listens; a free one by default.
        """
        self._port = port
        self._process: LocalProcess | None = None
        self._ports: tuple[int, ...] = ()

    @property
    def base_url(self) -> str:
        """What a Stripe client takes as the API's address, once started."""
        return f"http://{HOST}:{self._ports[0]}"

    async def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            ConfigurationError: ``localstripe`` isn't installed.
            LocalProcessError: the port is taken, or the server didn't come up.
        """
        if find_spec("localstripe") is None:
            raise ConfigurationError("the payments server isn't installed: pip install localstripe")
        self._process, self._ports = await start_on_ports(_launch, self._port)

    async def stop(self) -> None:
        """End the server. Does nothing the second time."""
        if self._process:
            await self._process.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


def _launch(ports: tuple[int, ...]) -> LocalProcess:
    (port,) = ports
    return LocalProcess(
        "payments",
        [sys.executable, "-c", _SERVE, HOST, str(port)],
        ready=answers_http(port, "/js.stripe.com/v3/"),
    )
