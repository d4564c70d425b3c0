"""Tools of an MCP server as tool contracts."""

from collections.abc import Mapping, Sequence
from typing import cast

from pydantic import ValidationError

from agentflow.contracts.sources import McpSource
from agentflow.contracts.tools import Effect, ToolContract
from agentflow.contracts.wire import Json
from agentflow.core.answer import describe_errors
from agentflow.core.closing import closed
from agentflow.core.imported import NO_DIGEST, with_digest
from agentflow.core.imported_schema import Schema, Schemas
from agentflow.core.tool_names import tool_name
from agentflow.errors import ConfigurationError

TEXT: Schema = {"type": "string"}
"""Output of a tool that says nothing of it: the texts that it answers with."""


def mcp_contract(
    server: str, tool: Mapping[str, Json], name: str | None = None, *, without_patterns: bool = False
) -> ToolContract:
    """The contract of a tool as a server lists it.

    Its annotations are hints, "untrusted unless they come from trusted servers" (the specification): none at
    all is taken for ``irreversible``, ``destructiveHint: false`` for ``write``. ``readOnlyHint`` is a claim:
    such a tool is a ``read``, but no rule lets it pass that doesn't name it.

    Args:
        server: As it names itself.
        tool: An element of ``tools/list``: ``name``, ``description``, ``inputSchema`` and so on.
        name: The tool's name here; made from the server's by default.
        without_patterns: Leave out patterns that can't be tested in linear time.

    Raises:
        ConfigurationError: it can't be a tool.
    """
    theirs = str(tool.get("name", ""))
    where = f"tool {theirs!r} of {server}"
    given = tool.get("inputSchema")
    if not isinstance(given, dict):
        raise ConfigurationError(f"{where} has no inputSchema")
    schema = _standing_alone(cast(Schema, given), where, without_patterns=without_patterns)
    # What the schema doesn't name is not sent, whatever the server would take.
    schema: Schema = {"type": "object", "properties": {}, **schema}
    if schema.get("additionalProperties") is not False:
        schema.pop("additionalProperties", None)
    output = tool.get("outputSchema")
    if isinstance(output, dict):
        output = _standing_alone(cast(Schema, output), where, without_patterns=without_patterns)
    annotations = tool.get("annotations")
    effect = _effect(cast(Schema, annotations) if isinstance(annotations, dict) else {})
    try:
        contract = ToolContract(
            name=name or tool_name(theirs),
            description=str(tool.get("description") or tool.get("title") or theirs).strip(),
            input_schema=closed(schema),
            output_schema=output or TEXT,
            effect=effect,
            effect_is_claimed=effect == "read",
            source=McpSource(
                server=server, operation=theirs, without_patterns=without_patterns, digest=NO_DIGEST
            ),
        )
    except ValidationError as error:
        raise ConfigurationError(f"{where} can't be a tool: {describe_errors(error)}") from None
    return with_digest(contract)


def mcp_contracts(
    server: str,
    tools: Mapping[str, Mapping[str, Json]],
    selectors: Sequence[str],
    *,
    without_patterns: bool = False,
) -> tuple[ToolContract, ...]:
    """The contracts of the tools that are listed, and of no others.

    Args:
        server: As it names itself.
        tools: What it offers, by its names.
        selectors: Its names, with ``=name`` for one of one's own.
        without_patterns: Leave out patterns that can't be tested in linear time.

    Raises:
        ConfigurationError: nothing is listed; one is unknown or can't be a tool; two would have one name.
    """
    if not selectors:
        raise ConfigurationError(f"{server} has {len(tools)} tools: list those that the agent needs")
    made: list[ToolContract] = []
    for selector in selectors:
        theirs, ours = (selector, None) if selector in tools else selector.rpartition("=")[::2]
        if theirs not in tools:
            known = ", ".join(sorted(tools)) or "none"
            raise ConfigurationError(f"{server} has no tool {selector!r}; there are: {known}")
        contract = mcp_contract(server, tools[theirs], ours, without_patterns=without_patterns)
        if contract.name in [other.name for other in made]:
            raise ConfigurationError(
                f"two tools would be named {contract.name}: write '{theirs}=another_name'"
            )
        made.append(contract)
    return tuple(made)


def _standing_alone(schema: Schema, where: str, *, without_patterns: bool) -> Schema:
    return Schemas(schema, is_3_0=False, without_patterns=without_patterns).standing_alone(schema, where)


def _effect(annotations: Schema) -> Effect:
    """By the specification's defaults: not read-only, and destructive."""
    if annotations.get("readOnlyHint") is True:
        return "read"
    return "write" if annotations.get("destructiveHint") is False else "irreversible"
