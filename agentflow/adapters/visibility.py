"""Visibility queries: which runs a list finds."""

from collections.abc import Sequence

from agentflow.contracts import names
from agentflow.core.person import folded

OPEN = "ExecutionStatus = 'Running'"
"""The run has not ended."""


def quoted(value: str) -> str:
    """A value as a string of Temporal's query language, in which nothing in it means anything."""
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def approvals_query(
    *,
    agent: str | None = None,
    tenant: str | None = None,
    roles: Sequence[str] = (),
    extra: str | None = None,
) -> str:
    """The visibility query for open runs that wait for approvals.

    Args:
        agent: The agent's name.
        tenant: The tenant.
        roles: Those that somebody has: runs with an action that one of them, or anybody, may decide on.
        extra: A query of the user's own, taken as it is.
    """
    terms = [f"{names.AGENT_PENDING_APPROVALS} > 0", OPEN]
    if agent:
        terms.append(f"{names.AGENT_NAME} = {quoted(agent)}")
    if tenant:
        terms.append(f"{names.AGENT_TENANT} = {quoted(tenant)}")
    if roles:
        listed = ", ".join(
            quoted(role) for role in dict.fromkeys((*roles, *map(folded, roles), names.ANY_ROLE))
        )
        # Runs that began before roles were told may be for anybody.
        terms.append(f"({names.AGENT_APPROVAL_ROLES} IN ({listed}) OR {names.AGENT_APPROVAL_ROLES} IS NULL)")
    if extra:
        terms.append(f"({extra})")
    return " AND ".join(terms)
