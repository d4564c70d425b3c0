"""Calls the tools of an MCP server that were imported from it."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, ClassVar, Self, cast

from agentflow.activity.context import ToolContext
from agentflow.activity.outside import PATIENCE, OutsideSystem, UnusableOutput
from agentflow.activity.running import apart
from agentflow.adapters.mcp_session import McpPlace, McpSession
from agentflow.contracts.sources import McpSource, ToolSource
from agentflow.contracts.tools import ToolContract
from agentflow.contracts.wire import Json
from agentflow.core.imported import drift_of
from agentflow.core.mcp_tools import TEXT, mcp_contract
from agentflow.core.scrub import scrubbed, scrubbed_json
from agentflow.core.urls import without_urls
from agentflow.errors import (
    AgentflowError,
    OutsideError,
    SourceChangedError,
    ToolError,
    ToolUnavailableError,
)
from agentflow.ports.secrets import SecretSource

LISTING_SECONDS = 60.0
"""How long a read takes the server's list of tools for the present one. A write asks each time."""
MAX_PAGES = 100
"""Of a server's list of tools."""
KEY_META = "agentflow/idempotency-key"
"""Where a call's idempotency key is in its ``_meta``, for servers that look there."""


class McpServer(OutsideSystem):
    """One MCP server.

    Open it before the worker, and close it after::

        async with McpServer(command=["mcp-server-git"]) as git:
            plugin = AgentflowPlugin(tools=[*git.tools(git_commit, git_log)], ...)

    It is connected to at the first call. A connection that is lost is made anew; what a call that was under
    way has done, the ledger finds out, or a person. Elicitation and sampling are not on offer to the server.
    """

    source_kind: ClassVar[type[ToolSource]] = McpSource
    source_name: ClassVar[str] = "an MCP server"

    def __init__(
        self,
        *,
        command: Sequence[str] = (),
        url: str = "",
        environment: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        directory: str | None = None,
        secrets: SecretSource | None = None,
    ) -> None:
        """Say where it is.

        Args:
            command: Run it, and talk to its standard input and output.
            url: Talk to it over streamable HTTP.
            environment: Variables for the command beyond the few that it gets anyway; ``{name}`` in a value
                is replaced by the secret of that name.
            headers: Sent over HTTP, such as ``{"Authorization": "Bearer {github}"}``.
            directory: Where the command runs.
            secrets: By name.

        Raises:
            ConfigurationError: neither or both of ``command`` and ``url``.
        """
        self._place = McpPlace(tuple(command), url, environment or {}, headers or {}, directory, secrets)
        self._session = McpSession(self._place, self._on_message)
        self._listing: tuple[float, dict[str, dict[str, Json]]] | None = None
        self._asking: asyncio.Task[dict[str, dict[str, Json]]] | None = None

    async def __aenter__(self) -> Self:
        """Nothing yet: it is connected to when it is needed."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the connection, and the server if it is a command."""
        if self._asking:
            self._asking.cancel()
        await self._session.close()

    async def offered(self) -> Mapping[str, Mapping[str, Json]]:
        """The server's tools by its names, as ``tools/list`` has them now.

        Raises:
            ToolUnavailableError: it can't be reached.
        """
        return await self._listed(fresh=True)

    async def name(self) -> str:
        """As the server names itself."""
        info = (await self._session.client()).server_info
        return str(info.name) if info and info.name else "MCP server"

    async def _drift(self, contract: ToolContract, *, fresh: bool = True) -> str | None:
        source = cast(McpSource, contract.source)
        found = (await self._listed(fresh=fresh)).get(source.operation)
        if found is None:
            return drift_of(contract, lambda: None)
        without = source.without_patterns
        return drift_of(
            contract, lambda: mcp_contract(source.server, found, contract.name, without_patterns=without)
        )

    async def _call(
        self, contract: ToolContract, arguments: Mapping[str, Json], context: ToolContext
    ) -> Json:
        limit = contract.options.start_to_close_timeout.total_seconds() * PATIENCE
        client: Any = None
        try:
            async with asyncio.timeout(limit):
                # A server may show a harmless tool to who imports it, and another one later.
                if changed := await self._drift(contract, fresh=contract.sure_effect != "read"):
                    raise SourceChangedError(changed)
                client = await self._session.client()
                result = await client.call_tool(
                    cast(McpSource, contract.source).operation,
                    dict(arguments),
                    meta={KEY_META: context.idempotency_key},
                )
        except TimeoutError:
            said = f"{contract.name}: no answer within {limit:g} s"
            raise (OutsideError(said) if client else ToolUnavailableError(said)) from None
        except AgentflowError:
            raise
        except Exception as error:
            raise self._failure(contract, client, error) from None
        return self._answer(contract, result)

    def _failure(self, contract: ToolContract, client: Any, error: Exception) -> Exception:
        from mcp import MCPError
        from mcp.types import CONNECTION_CLOSED, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND

        said = self._scrubbed(without_urls(f"{contract.name}: {type(error).__name__}: {error}"))
        if isinstance(error, MCPError) and error.code in (INVALID_PARAMS, METHOD_NOT_FOUND):
            # The server didn't take the request: the specification has these for unknown tools and arguments.
            return ToolError(said)
        # Other calls may be under way, so only a connection that is of no more use is given up.
        if not isinstance(error, MCPError) or error.code in (CONNECTION_CLOSED, INVALID_REQUEST):
            self._session.lost(client)
        return OutsideError(said)

    def _answer(self, contract: ToolContract, result: Any) -> Json:
        text = self._scrubbed("\n".join(_text(part) for part in result.content))
        if result.is_error:
            if contract.effect == "read" or cast(McpSource, contract.source).error_means_undone:
                raise ToolError(text)
            raise OutsideError(f"{contract.name} answered with an error, and may have done something: {text}")
        if contract.output_schema == TEXT:
            return text
        if result.structured_content is None:
            return UnusableOutput("it has no structured content, which its output schema promises")
        return scrubbed_json(result.structured_content, self._place.used)

    def _scrubbed(self, text: str) -> str:
        return scrubbed(text, self._place.used)

    async def _listed(self, *, fresh: bool) -> dict[str, dict[str, Json]]:
        """The server's tools by name."""
        held = self._listing
        if held and not fresh and time.monotonic() - held[0] < LISTING_SECONDS:
            return held[1]
        # Runs that begin at the same time ask for each of their tools: they share one question.
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask(), context=apart())
            self._asking.add_done_callback(self._asked)
        return await asyncio.shield(self._asking)

    def _asked(self, asking: "asyncio.Task[dict[str, dict[str, Json]]]") -> None:
        self._asking = None
        if not asking.cancelled():
            # Whoever asked has it; if they have gone, nobody needs to hear of it.
            asking.exception()

    async def _ask(self) -> dict[str, dict[str, Json]]:
        client = await self._session.client()
        found: dict[str, dict[str, Json]] = {}
        cursor: str | None = None
        try:
            async with asyncio.timeout(LISTING_SECONDS / 2):
                for _ in range(MAX_PAGES):
                    page = await client.list_tools(cursor=cursor)
                    for tool in page.tools:
                        found[tool.name] = tool.model_dump(mode="json", by_alias=True, exclude_none=True)
                    cursor = page.next_cursor
                    if not cursor:
                        break
        except Exception as error:
            self._session.lost(client)
            said = f"{self._place!r} can't tell its tools: {type(error).__name__}: {error}"
            raise ToolUnavailableError(self._scrubbed(without_urls(said))[:500]) from None
        self._listing = (time.monotonic(), found)
        return found

    def _on_message(self, message: Any) -> None:
        if type(getattr(message, "root", message)).__name__ == "ToolListChangedNotification":
            self._listing = None

    def __repr__(self) -> str:
        return repr(self._place)


def _text(part: Any) -> str:
    """One part of an answer as text. Of pictures and files there is the kind and the size."""
    if part.type == "text":
        return str(part.text)
    if part.type == "resource" and getattr(part.resource, "text", None) is not None:
        return str(part.resource.text)
    if part.type == "resource_link":
        return f"[{part.uri}]"
    data = getattr(part, "data", None) or getattr(getattr(part, "resource", None), "blob", None) or ""
    return f"[{part.type} {getattr(part, 'mime_type', None) or ''}, {len(data)} characters of base64]"
