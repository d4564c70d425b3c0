"""One connection to an MCP server, kept by a task of its own, and made anew when it is lost."""

import asyncio
import os
import string
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, TextIO, cast
from urllib.parse import urlsplit

from agentflow.activity.running import apart
from agentflow.adapters.http import ACCEPTED, MAX_ANSWER_BYTES, answers_up_to, hide_urls
from agentflow.adapters.secret_calls import secret_of
from agentflow.core.urls import place_of, without_urls
from agentflow.errors import ConfigurationError, MissingExtraError, ToolUnavailableError
from agentflow.ports.secrets import SecretSource

CONNECT_SECONDS = 30.0


@dataclass(frozen=True)
class McpPlace:
    """Where a server is: a command that is run, or a URL. Secrets are named, and filled in to connect.

    Raises:
        ConfigurationError: neither or both of command and URL, or a URL that is none of HTTP.
    """

    command: tuple[str, ...]
    url: str
    environment: Mapping[str, str]
    headers: Mapping[str, str]
    directory: str | None
    secrets: SecretSource | None
    used: set[str] = field(default_factory=set[str])
    """Secrets that the connection was made with: they are taken out of what the server says."""

    def __post_init__(self) -> None:
        if bool(self.command) == bool(self.url):
            raise ConfigurationError("an MCP server is a command or a URL")
        parts = urlsplit(self.url)
        if self.url and (parts.scheme not in ("http", "https") or "@" in parts.netloc):
            raise ConfigurationError("an MCP server's URL is like https://example.com/mcp, without a user")

    async def connected(self, stack: AsyncExitStack, on_message: Callable[[Any], Any]) -> Any:
        """Connect.

        Raises:
            ToolUnavailableError: a secret is missing.
        """
        mcp = _mcp()
        if self.command:
            from mcp import StdioServerParameters, stdio_client

            environment = {name: await self._filled(text) for name, text in self.environment.items()}
            parameters = StdioServerParameters(
                command=self.command[0],
                args=list(self.command[1:]),
                env=environment,
                cwd=self.directory,
            )
            transport: Any = stdio_client(parameters, errlog=stack.enter_context(_log_for_server()))
        else:
            import httpx2
            from mcp.client.streamable_http import streamable_http_client

            hide_urls()
            headers = {name: await self._filled(text) for name, text in self.headers.items()}
            client = httpx2.AsyncClient(
                headers={**ACCEPTED, **headers},
                follow_redirects=False,
                timeout=httpx2.Timeout(30, read=300),
                event_hooks=answers_up_to(httpx2, MAX_ANSWER_BYTES),
            )
            await stack.enter_async_context(client)
            transport = streamable_http_client(self.url, http_client=client)

        async def heard(message: Any) -> None:
            on_message(message)

        return await stack.enter_async_context(mcp.Client(transport, cache=None, message_handler=heard))

    async def _filled(self, text: str) -> str:
        """A text with ``{name}`` replaced by the secret of that name."""
        made: list[str] = []
        for literal, name, _, _ in string.Formatter().parse(text):
            made.append(literal)
            if name is not None:
                secret = await secret_of(self.secrets, name)
                if secret is None:
                    raise ToolUnavailableError(f"this worker has no secret for {name}")
                self.used.add(secret)
                made.append(secret)
        return "".join(made)

    def __repr__(self) -> str:
        return f"<MCP server {place_of(self.url) if self.url else self.command[0]}>"


class McpSession:
    """The connection. The task that opened it closes it, as the SDK's cancel scopes want."""

    def __init__(self, place: McpPlace, on_message: Callable[[Any], Any]) -> None:
        self._place = place
        self._on_message = on_message
        self._lock = asyncio.Lock()
        self._keeper: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()
        self._client: Any = None

    async def client(self) -> Any:
        """The SDK's client, connected.

        Raises:
            ToolUnavailableError: there is no connection to be had. Nothing was asked.
        """
        async with self._lock:
            if self._client is None:
                await self._connect()
            return self._client

    def lost(self, client: Any) -> None:
        """The connection is of no more use: the next call makes another."""
        if client is not None and client is self._client:
            self._client = None
            self._ended.set()

    async def close(self) -> None:
        """End the connection, and the server if it is a command."""
        async with self._lock:
            self._client = None
            self._ended.set()
            if self._keeper:
                await asyncio.wait([self._keeper])

    async def _connect(self) -> None:
        if self._keeper and not self._keeper.done():
            # The one before is ending; two of a command could be in each other's way.
            await asyncio.wait([self._keeper], timeout=CONNECT_SECONDS)
        ended, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
        self._ended = ended
        self._keeper = asyncio.create_task(self._keep(ready, ended), context=apart())
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                self._client = await ready
        except BaseException as error:
            self._keeper.cancel()
            if not isinstance(error, Exception):
                raise
            if isinstance(error, ToolUnavailableError):
                raise
            first = _first(error)
            said = without_urls(f"{self._place!r} can't be reached: {type(first).__name__}: {first}")
            raise ToolUnavailableError(said[:500]) from None

    async def _keep(self, ready: "asyncio.Future[Any]", ended: asyncio.Event) -> None:
        client: Any = None
        try:
            async with AsyncExitStack() as stack:
                client = await self._place.connected(stack, self._on_message)
                if not ready.done():
                    ready.set_result(client)
                await ended.wait()
        except Exception as error:
            # After it was ready, whoever called has the error already.
            if not ready.done():
                ready.set_exception(error)
        finally:
            self.lost(client)


@contextmanager
def _log_for_server() -> Generator[TextIO]:
    """Where a command's standard error goes: to this process's, if it has one that a process can write to."""
    try:
        sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        with open(os.devnull, "w", encoding="utf-8") as nowhere:
            yield nowhere
    else:
        yield sys.stderr


def _first(error: BaseException) -> BaseException:
    """What is inside of groups of errors."""
    while isinstance(error, BaseExceptionGroup):
        error = cast(BaseExceptionGroup[BaseException], error).exceptions[0]
    return error


def _mcp() -> Any:
    try:
        import mcp
    except ImportError as error:
        raise MissingExtraError("an MCP server", "mcp") from error
    return mcp
