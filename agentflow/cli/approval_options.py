"""Which pending actions a command is about."""

from typing import Annotated

import typer

from agentflow.inbox import ApprovalFilter

Roles = Annotated[
    list[str] | None,
    typer.Option(
        "--role", metavar="ROLE", help="That somebody with this role may decide on; as often as needed."
    ),
]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="Of at most so many runs.")]


def approval_filter(
    *,
    agent: Annotated[str | None, typer.Option(metavar="NAME", help="Of this agent's runs.")] = None,
    tenant: Annotated[str | None, typer.Option(metavar="NAME", help="Of this tenant's runs.")] = None,
    role: Roles = None,
    tool: Annotated[str | None, typer.Option(metavar="NAME", help="That call this tool.")] = None,
    rule: Annotated[str | None, typer.Option(metavar="NAME", help="That this rule asks about.")] = None,
    query: Annotated[
        str | None, typer.Option(metavar="QUERY", help="A visibility query, added to the others.")
    ] = None,
) -> ApprovalFilter:
    """What the options say; for ``taking``."""
    return ApprovalFilter(agent, tenant, tuple(role or ()), tool, rule, query)
