"""Calls the operations of an API that were imported from its OpenAPI document."""

import asyncio
import base64
import json
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, ClassVar, Self, cast
from urllib.parse import urlsplit

from agentflow.activity.context import ToolContext
from agentflow.activity.outside import PATIENCE, OutsideSystem, UnusableOutput
from agentflow.adapters.http import ACCEPTED, answers_up_to, http_library, retry_after
from agentflow.adapters.secret_calls import secret_of
from agentflow.contracts.sources import AuthScheme, OpenApiSource, ToolSource
from agentflow.contracts.tools import ToolContract
from agentflow.contracts.wire import Json, Sha256
from agentflow.core.imported import drift_of
from agentflow.core.openapi import OpenApiDocument
from agentflow.core.openapi_request import OutsideRequest, build_request
from agentflow.core.scrub import scrubbed, scrubbed_json
from agentflow.core.urls import place_of, without_urls
from agentflow.errors import (
    ConfigurationError,
    OutsideError,
    ToolError,
    ToolUnavailableError,
)
from agentflow.ports.secrets import SecretSource
from agentflow.telemetry.propagation import trace_headers

CONNECT_SECONDS = 10.0
MAX_ERROR_BYTES = 2_000
"""Of a refusal's text: that much is told to the model."""


class OpenApiService(OutsideSystem):
    """One API: where it is, and the secrets it takes.

    Open it before the worker, and close it after::

        async with OpenApiService("https://orders.example.com", secrets=secrets) as orders:
            plugin = AgentflowPlugin(tools=[*orders.tools(get_order, cancel_order)], ...)
    """

    source_kind: ClassVar[type[ToolSource]] = OpenApiSource
    source_name: ClassVar[str] = "an OpenAPI document"

    def __init__(
        self,
        base_url: str,
        *,
        secrets: SecretSource | None = None,
        document: Json = None,
        headers: Mapping[str, str] | None = None,
        max_connections: int = 100,
    ) -> None:
        """Say where the API is.

        Args:
            base_url: What an operation's path is added to. It is said here and nowhere else: a document can't
                send a secret to another place, and redirects are not followed.
            secrets: By the names of the document's security schemes.
            document: The API's document as it is today; tools that differ from it are refused.
            headers: Sent with each request; no secrets.
            max_connections: At once; further calls wait.

        Raises:
            ConfigurationError: ``base_url`` is no URL of HTTP, or ``document`` is no OpenAPI document.
            MissingExtraError: the ``openapi`` extra isn't installed.
        """
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ConfigurationError(
                f"base_url, of {place_of(base_url)}, must be like https://api.example.com/v1"
            )
        if parts.username or parts.password:
            raise ConfigurationError("base_url must hold no password: give secrets=")
        self._base_url = base_url.rstrip("/")
        self._secrets = secrets
        self._document = None if document is None else OpenApiDocument(document)
        self._headers = dict(headers or {})
        self._max_connections = max_connections
        self._http = http_library("calling an API", "openapi")
        self._client: Any = None
        self._closing = AsyncExitStack()
        self._drifts: dict[Sha256, str | None] = {}

    async def __aenter__(self) -> Self:
        """Open the connections."""
        limits = self._http.Limits(max_connections=self._max_connections)
        # Until there is a connection nothing is sent; how long the answer may take is the tool's to say.
        timeout = self._http.Timeout(None, connect=CONNECT_SECONDS, pool=CONNECT_SECONDS)
        client = self._http.AsyncClient(
            follow_redirects=False,
            limits=limits,
            headers=self._headers,
            timeout=timeout,
            event_hooks=answers_up_to(self._http, None),
        )
        self._client = await self._closing.enter_async_context(client)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self._client = None
        await self._closing.aclose()

    async def _drift(self, contract: ToolContract) -> str | None:
        document, source = self._document, cast(OpenApiSource, contract.source)
        if document is None:
            return None
        # The document stays as it is, and each run that begins asks.
        if source.digest not in self._drifts:
            self._drifts[source.digest] = drift_of(contract, lambda: document.current(source, contract.name))
        return self._drifts[source.digest]

    async def _call(
        self, contract: ToolContract, arguments: Mapping[str, Json], context: ToolContext
    ) -> Json:
        source = cast(OpenApiSource, contract.source)
        if self._client is None:
            raise ToolUnavailableError(f"{contract.name}: the OpenApiService is not open: use async with")
        request = build_request(source, arguments, context.idempotency_key)
        limit = contract.options.start_to_close_timeout.total_seconds() * PATIENCE
        secrets: tuple[str, ...] | None = None
        try:
            async with asyncio.timeout(limit):
                secrets = await self._authorize(source, request)
                return await self._sent(contract, request, secrets)
        except TimeoutError:
            said = f"{contract.name}: no answer within {limit:g} s"
            # Where the secrets didn't come, nothing was sent.
            raise (ToolUnavailableError(said) if secrets is None else OutsideError(said)) from None

    async def _sent(self, contract: ToolContract, request: OutsideRequest, secrets: Sequence[str]) -> Json:
        http, name = self._http, contract.name
        try:
            sending = self._client.stream(
                request.method,
                self._base_url + request.path,
                params=request.query or None,
                headers=self._all_headers(request),
                content=request.body,
            )
            async with sending as response:
                body = await _read(response, contract.options.max_result_bytes)
                return _answer(contract, response, body, secrets)
        except (http.ConnectError, http.ConnectTimeout, http.PoolTimeout, http.UnsupportedProtocol) as error:
            # Nothing was sent.
            said = without_urls(f"{name}: no connection: {error}")
            raise ToolUnavailableError(scrubbed(said, secrets)) from None
        except http.InvalidURL as error:
            # Nor here: an argument that is in the path makes no URL.
            raise ToolError(scrubbed(f"{name}: its arguments make no URL: {error}", secrets)) from None
        except http.HTTPError as error:
            said = without_urls(f"{name}: {type(error).__name__}: {error}")
            raise OutsideError(scrubbed(said, secrets)) from None

    def _all_headers(self, request: OutsideRequest) -> dict[str, str]:
        cookies = "; ".join(f"{name}={value}" for name, value in request.cookies.items())
        accepted = {"Accept": "application/json, */*;q=0.5", **ACCEPTED}
        return {**accepted, **trace_headers(), **request.headers, **({"Cookie": cookies} if cookies else {})}

    async def _authorize(self, source: OpenApiSource, request: OutsideRequest) -> tuple[str, ...]:
        """Add who sends it, by the first alternative that there are secrets for; answer the secrets.

        Raises:
            ToolUnavailableError: there are none. Nothing was sent.
        """
        for alternative in source.auth:
            found = {one.scheme: await self._secret(one.scheme) for one in alternative}
            known = {name: secret for name, secret in found.items() if secret is not None}
            if len(known) == len(found):
                for one in alternative:
                    _put(one, known[one.scheme], request)
                return tuple(known.values())
        if source.auth:
            names = " or ".join(
                " and ".join(one.scheme for one in alternative) for alternative in source.auth
            )
            raise ToolUnavailableError(f"{source.operation}: this worker has no secret for {names}")
        return ()

    async def _secret(self, name: str) -> str | None:
        return await secret_of(self._secrets, name)

    def __repr__(self) -> str:
        return f"OpenApiService({place_of(self._base_url)!r})"


def _put(scheme: AuthScheme, secret: str, request: OutsideRequest) -> None:
    match scheme.kind:
        case "bearer":
            request.headers["Authorization"] = f"Bearer {secret}"
        case "basic":
            request.headers["Authorization"] = f"Basic {base64.b64encode(secret.encode()).decode()}"
        case "header":
            request.headers[scheme.name] = secret
        case "query":
            request.query.append((scheme.name, secret))
        case "cookie":
            request.cookies[scheme.name] = secret


async def _read(response: Any, limit: int) -> bytes | None:
    """The body; ``None`` if it is longer than twice the limit: JSON may be written with room to spare."""
    found = bytearray()
    async for part in response.aiter_bytes():
        found += part
        if len(found) > 2 * limit:
            return None
    return bytes(found)


def _answer(contract: ToolContract, response: Any, body: bytes | None, secrets: Sequence[str]) -> Json:
    """What a response means: an output, a refusal for the model, or a failure that Temporal retries."""
    status: int = response.status_code
    if 200 <= status < 300:
        return _output(contract, response, body, secrets)
    said = (body or b"")[:MAX_ERROR_BYTES].decode(errors="replace")
    text = scrubbed(f"{contract.name}: HTTP {status}: {said}".rstrip(": "), secrets)
    wait = retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
    if status in (401, 429) or (status < 400 and status != 304):
        # It did nothing: who asks isn't known, asks too often, or asks in the wrong place.
        raise ToolUnavailableError(text, retry_after=wait)
    if status >= 500 or status in (408, 425):
        raise OutsideError(text, retry_after=wait)
    raise ToolError(text)


def _output(contract: ToolContract, response: Any, body: bytes | None, secrets: Sequence[str]) -> Json:
    limit = contract.options.max_result_bytes
    if body is None:
        return UnusableOutput(f"the answer is longer than the limit of {limit} bytes")
    if not body:
        return None
    kind = str(response.headers.get("Content-Type", "")).partition(";")[0].strip().lower()
    text = body.decode(response.encoding or "utf-8", errors="replace")
    if kind != "application/json" and not kind.endswith("+json"):
        return scrubbed(text, secrets)
    try:
        return scrubbed_json(json.loads(text), secrets)
    except (ValueError, RecursionError) as error:
        return UnusableOutput(f"the answer is not JSON: {error}")
