"""Where a tool's contract came from that no function of ours has: an OpenAPI document or an MCP server."""

from typing import Annotated, Literal

from pydantic import Field

from agentflow.contracts.wire import Contract, Json, Sha256, is_empty, is_false, is_none

Place = Literal["path", "query", "header", "cookie", "body", "whole_body"]
"""Where a request carries an argument. ``body`` is one property of it, ``whole_body`` all of it."""

Style = Literal["simple", "form", "spaceDelimited", "pipeDelimited", "deepObject", "json"]
"""How a parameter's value is written: OpenAPI's names, and ``json`` for one with ``content``."""

AuthKind = Literal["bearer", "basic", "header", "query", "cookie"]


class AuthScheme(Contract):
    """How a request says who sends it. The secret is never here: a worker knows it by the scheme's name."""

    scheme: str
    """The security scheme's name in the document: the reference that the worker resolves."""
    kind: AuthKind
    name: str = ""
    """Of the header, the query parameter or the cookie."""


class RequestArgument(Contract):
    """How one of a tool's arguments gets into the request."""

    argument: str
    """The tool's name for it."""
    name: str
    """The outside system's."""
    place: Place
    style: Style = "form"
    explode: bool = True


class _Source(Contract):
    server: str
    """Its title, or how it names itself."""
    fixed: dict[str, Json] = Field(default_factory=dict[str, Json], exclude_if=is_empty)
    """Arguments that are always these; the model doesn't see them."""
    key_argument: str | None = Field(default=None, exclude_if=is_none)
    """The argument that takes an idempotency key; the model doesn't see it."""
    without_patterns: bool = Field(default=False, exclude_if=is_false)
    """Whether patterns that can't be tested in linear time were left out. The outside system tests them."""
    digest: Sha256
    """Of the contract as it was imported: another one is refused."""


class OpenApiSource(_Source):
    """An operation of an OpenAPI document: what a worker needs to make the request."""

    kind: Literal["openapi"] = "openapi"
    version: str = ""
    method: str
    path: str
    """With ``{parameter}`` where an argument goes."""
    arguments: tuple[RequestArgument, ...] = Field(default=(), exclude_if=is_empty)
    media_type: str | None = Field(default=None, exclude_if=is_none)
    """Of the request's body."""
    auth: tuple[tuple[AuthScheme, ...], ...] = Field(default=(), exclude_if=is_empty)
    """Alternatives, the first that the worker has all secrets for is taken; an empty one is none at all."""
    key_header: str | None = Field(default=None, exclude_if=is_none)
    """The header that takes an idempotency key."""

    @property
    def operation(self) -> str:
        """Such as ``GET /orders/{id}``."""
        return f"{self.method} {self.path}"


class McpSource(_Source):
    """A tool of an MCP server."""

    kind: Literal["mcp"] = "mcp"
    operation: str
    """The server's name for the tool."""
    error_means_undone: bool = Field(default=False, exclude_if=is_false)
    """Whether a write that answers with an error certainly did nothing. MCP doesn't say so."""


ToolSource = Annotated[OpenApiSource | McpSource, Field(discriminator="kind")]
