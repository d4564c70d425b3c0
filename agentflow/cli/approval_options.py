"""Which pending actions a command is about."""

from typing import Annotated

import typer

from agentflow.inbox import ApprovalFilter

Agent = Annotated[str | None, typer.Option("--agent", metavar="NAME", help="Of this agent's runs.")]
Tenant = Annotated[str | None, typer.Option("--tenant", metavar="NAME", help="Of this tenant's runs.")]
Roles = Annotated[
    list[str] | None,
    typer.Option(
        "--role", metavar="ROLE", help="That somebody with this role may decide on; as often as needed."
    ),
]
ToolName = Annotated[str | None, typer.Option("--tool", metavar="NAME", help="That call this tool.")]
RuleName = Annotated[str | None, typer.Option("--rule", metavar="NAME", help="That this rule asks about.")]
Query = Annotated[
    str | None, typer.Option("--query", metavar="QUERY", help="A visibility query, added to the others.")
]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="Of at most so many runs.")]


def filter_of(
    *,
    agent: str | None,
    tenant: str | None,
    role: list[str] | None,
    tool: str | None,
    rule: str | None,
    query: str | None,
) -> ApprovalFilter:
    """What the options say."""
    return ApprovalFilter(agent, tenant, tuple(role or ()), tool, rule, query)
