"""Where ``agentflow tools`` finds contracts: the project's agents, an OpenAPI document, an MCP server."""

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from agentflow.adapters.environment_secrets import EnvironmentSecrets
from agentflow.adapters.mcp_server import McpServer
from agentflow.adapters.openapi_files import read_openapi
from agentflow.cli.exits import misused
from agentflow.cli.histories import load_agents
from agentflow.cli.project import Project
from agentflow.cli.session import Session
from agentflow.contracts.tools import ToolContract
from agentflow.core.blocking_calls import lint_blocking_calls
from agentflow.core.mcp_tools import mcp_contract, mcp_contracts
from agentflow.core.openapi import OpenApiDocument
from agentflow.core.tool_lint import ToolFinding, lint
from agentflow.errors import ConfigurationError
from agentflow.workflow.sources import module_source


@dataclass(frozen=True)
class Source:
    """Where contracts come from, as the command line says it."""

    openapi: str | None = None
    mcp: str | None = None
    passed_on: Sequence[str] = ()
    bearer_from: str | None = None
    without_patterns: bool = False
    """Leave out patterns that can't be tested in linear time."""


def source_of(
    *,
    openapi: Annotated[
        str | None, typer.Option(metavar="FILE|URL", help="An OpenAPI document, JSON or YAML.")
    ] = None,
    mcp: Annotated[
        str | None, typer.Option(metavar="COMMAND|URL", help="An MCP server: a command line, or a URL.")
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="An environment variable that the MCP command gets; as often as needed."
        ),
    ] = None,
    bearer_from: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Environment variable with the token for an MCP server's URL."),
    ] = None,
    without_patterns: Annotated[
        bool,
        typer.Option(
            "--without-patterns",
            help="Leave out patterns that can't be tested in linear time (look-around, back-references): "
            "only the outside system tests them.",
        ),
    ] = False,
) -> Source:
    """What the options say; for ``taking``."""
    return Source(openapi, mcp, env or (), bearer_from, without_patterns)


@dataclass(frozen=True)
class Offered:
    """A tool that a source has, whether or not it can be one of ours."""

    name: str
    """What selects it."""
    about: str
    contract: ToolContract | None
    problem: str = ""
    used_by: str = ""
    functions: tuple[Callable[..., object], ...] = ()
    """Of a tool of one's own: its function and its probe."""

    def findings(self) -> tuple[ToolFinding, ...]:
        """What should be better: of its contract, and of its functions' source where there is one."""
        if self.contract is None:
            return ()
        found = list(lint(self.contract))
        for function in self.functions:
            if source := module_source(function.__module__):
                found += lint_blocking_calls(self.contract, source, [function.__qualname__])
        return tuple(found)


def offered_by(session: Session, source: Source) -> list[Offered]:
    """All that a source has.

    Raises:
        ConfigurationError: it can't be read.
        CommandFailed: two sources are named.
    """
    if source.openapi and source.mcp:
        raise misused("name one source: --openapi or --mcp")
    if source.openapi:
        document = OpenApiDocument(session.run(read_openapi(source.openapi)))
        return _of_document(document, without_patterns=source.without_patterns)
    if source.mcp:
        return _of_server(*session.run(_listed(source)), without_patterns=source.without_patterns)
    return _of_project()


def chosen(session: Session, source: Source, selectors: Sequence[str]) -> list[ToolContract]:
    """The contracts that are listed, of a source outside the project.

    Raises:
        ConfigurationError: one can't be found, or can't be a tool.
        CommandFailed: no source, or no tool, is named.
    """
    if bool(source.openapi) == bool(source.mcp):
        raise misused("say where the tools are from: --openapi FILE or --mcp COMMAND")
    if source.openapi:
        document = OpenApiDocument(session.run(read_openapi(source.openapi)))
        return list(document.contracts(selectors, without_patterns=source.without_patterns))
    server, tools = session.run(_listed(source))
    return list(mcp_contracts(server, tools, selectors, without_patterns=source.without_patterns))


async def _listed(source: Source) -> tuple[str, dict[str, Mapping[str, Any]]]:
    async with _server(source) as server:
        return await server.name(), dict(await server.offered())


def _server(source: Source) -> McpServer:
    assert source.mcp is not None
    for name in (*source.passed_on, *([source.bearer_from] if source.bearer_from else [])):
        if not os.environ.get(name):
            raise misused(f"the environment variable {name} is not set")
    if source.mcp.startswith(("http://", "https://")):
        headers = {"Authorization": "Bearer {token}"} if source.bearer_from else {}
        secrets = EnvironmentSecrets({"token": source.bearer_from or ""})
        return McpServer(url=source.mcp, headers=headers, secrets=secrets)
    # Windows' own quoting keeps backslashes.
    command = shlex.split(source.mcp, posix=os.name != "nt")
    environment = {name: f"{{{name}}}" for name in source.passed_on}
    secrets = EnvironmentSecrets({name: name for name in source.passed_on})
    return McpServer(command=command, environment=environment, secrets=secrets)


def _of_document(document: OpenApiDocument, *, without_patterns: bool) -> list[Offered]:
    found: list[Offered] = []
    ids = [operation.id for operation in document.operations]
    for operation in document.operations:
        is_unique = operation.id and ids.count(operation.id) == 1
        name = operation.id if operation.id and is_unique else operation.label
        about = f"{operation.label}  {operation.summary}" if is_unique else operation.summary
        try:
            found.append(
                Offered(name, about, document.contract(operation.label, without_patterns=without_patterns))
            )
        except ConfigurationError as error:
            found.append(Offered(name, about, None, str(error)))
    return found


def _of_server(
    server: str, tools: Mapping[str, Mapping[str, Any]], *, without_patterns: bool
) -> list[Offered]:
    found: list[Offered] = []
    for name, tool in tools.items():
        about = str(tool.get("description") or "")
        try:
            found.append(Offered(name, about, mcp_contract(server, tool, without_patterns=without_patterns)))
        except ConfigurationError as error:
            found.append(Offered(name, about, None, str(error)))
    return found


def _of_project() -> list[Offered]:
    workflows = Project.load_from(Path.cwd()).workflows
    if not workflows:
        raise ConfigurationError(
            "this project names no agents: write workflows under [tool.agentflow] in pyproject.toml, or name "
            "a source with --openapi or --mcp"
        )
    found: dict[str, Offered] = {}
    users: dict[str, list[str]] = {}
    for agent, workflow in load_agents(workflows).items():
        for tool in cast(Any, workflow).tools:
            contract: ToolContract = tool.contract
            functions = getattr(tool, "functions", ())
            found[contract.name] = Offered(contract.name, contract.description, contract, functions=functions)
            users.setdefault(contract.name, []).append(agent)
    return [replace(one, used_by=", ".join(users[one.name])) for one in found.values()]
