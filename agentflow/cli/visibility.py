"""Queries that find runs by their search attributes, and what they find."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Literal, TypeVar

from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError

from agentflow.adapters.history.spent import share_of
from agentflow.adapters.visibility import OPEN, quoted
from agentflow.cli.failures import RPC_TIMEOUT
from agentflow.contracts import names
from agentflow.contracts.wire import Contract

ValueT = TypeVar("ValueT", str, int, float)

RunFilter = Literal[
    "running",
    "waiting_for_approval",
    "escalated",
    "completed",
    "denied",
    "budget_exhausted",
    "timed_out",
    "cancelled",
    "failed",
    "terminated",
]
"""What ``agentflow runs --status`` takes: states of open runs, outcomes, and endings without one."""

MAX_PAGE = 200
READ_AT_ONCE = 8
"""Histories."""
_ENDED_BY_OTHERS = ("terminated", "timed_out", "canceled", "failed")
"""A run with an outcome of that name is read as well: that is no harm."""

_PENDING = SearchAttributeKey.for_int(names.AGENT_PENDING_APPROVALS)


class RunRow(Contract):
    """One run as visibility knows it."""

    workflow_id: str
    run_id: str
    agent: str | None
    status: str
    """The state of an open run: ``running``, or what it waits for. The outcome of a closed one, or how it
    ended without one."""
    tenant: str | None
    release: str | None
    cost_usd: Decimal | None
    """All that was settled, and what may be billed of calls that nobody heard the end of."""
    possibly_billed_usd: Decimal = Decimal(0)
    """That last part of it."""
    pending_approvals: int
    started: datetime
    closed: datetime | None


def runs_query(
    *,
    agent: str | None = None,
    status: RunFilter | None = None,
    tenant: str | None = None,
    extra: str | None = None,
) -> str:
    """The visibility query for runs that fulfil all that is given.

    Args:
        agent: The agent's name.
        status: A state, an outcome or an ending.
        tenant: The tenant.
        extra: A query of the user's own, taken as it is.
    """
    terms = [
        f"{names.AGENT_NAME} = {quoted(agent)}" if agent else f"{names.AGENT_NAME} IS NOT NULL",
        # Of a run that continued as new, the latest execution stands for all.
        "ExecutionStatus != 'ContinuedAsNew'",
    ]
    if status:
        terms.append(_status_term(status))
    if tenant:
        terms.append(f"{names.AGENT_TENANT} = {quoted(tenant)}")
    if extra:
        terms.append(f"({extra})")
    return " AND ".join(terms)


async def find_runs(client: Client, query: str, limit: int) -> list[RunRow]:
    """The runs that a query finds, in visibility's order: the newest first."""
    found = client.list_workflows(query, limit=limit, page_size=min(limit, MAX_PAGE), rpc_timeout=RPC_TIMEOUT)
    return [_row(execution) async for execution in found]


async def with_spending(client: Client, found: Sequence[RunRow]) -> list[RunRow]:
    """The runs with what they have spent by now.

    Visibility knows it of those that have ended by themselves. Of the others, and of those that were reset,
    histories say it.
    """
    by_id = Counter(run.workflow_id for run in found)
    free = asyncio.Semaphore(READ_AT_ONCE)

    async def one(run: RunRow) -> RunRow:
        is_told = run.closed is not None and run.status not in _ENDED_BY_OTHERS and run.cost_usd is not None
        if is_told and by_id[run.workflow_id] == 1:
            return run
        async with free:
            try:
                spent = await share_of(client, run.workflow_id, run.run_id)
            except RPCError:
                # Its history is gone by now; visibility may still know what it cost.
                return run
        cost, possibly = spent.cost_usd, spent.possibly_billed_usd
        return run.model_copy(update={"cost_usd": cost, "possibly_billed_usd": possibly})

    return list(await asyncio.gather(*map(one, found)))


def _status_term(status: RunFilter) -> str:
    open_state = f"({names.AGENT_STATUS} = {quoted(status)} AND {OPEN})"
    ended = f"{names.AGENT_OUTCOME} = {quoted(status)}"
    match status:
        case "running":
            return OPEN
        case "failed" | "terminated":
            return f"ExecutionStatus = {quoted(status.capitalize())}"
        case "waiting_for_approval":
            return open_state
        case "escalated":
            # A run that waits for a person, or one that ended since people did not take over.
            return f"({open_state} OR {ended})"
        case _:
            return ended


def _row(execution: WorkflowExecution) -> RunRow:
    cost = _attribute(execution, SearchAttributeKey.for_float(names.AGENT_COST_USD))
    return RunRow(
        workflow_id=execution.id,
        run_id=execution.run_id,
        agent=_attribute(execution, SearchAttributeKey.for_keyword(names.AGENT_NAME)),
        status=_status_of(execution),
        tenant=_attribute(execution, SearchAttributeKey.for_keyword(names.AGENT_TENANT)),
        release=_attribute(execution, SearchAttributeKey.for_keyword(names.AGENT_RELEASE)),
        cost_usd=None if cost is None else Decimal(str(cost)),
        pending_approvals=_attribute(execution, _PENDING) or 0,
        started=execution.start_time,
        closed=execution.close_time,
    )


def _status_of(execution: WorkflowExecution) -> str:
    ended = execution.status if execution.status != WorkflowExecutionStatus.RUNNING else None
    if ended is None:
        return _attribute(execution, SearchAttributeKey.for_keyword(names.AGENT_STATUS)) or "starting"
    outcome = _attribute(execution, SearchAttributeKey.for_keyword(names.AGENT_OUTCOME))
    if outcome and ended == WorkflowExecutionStatus.COMPLETED:
        return outcome
    return ended.name.lower()


def _attribute(execution: WorkflowExecution, key: SearchAttributeKey[ValueT]) -> ValueT | None:
    return execution.typed_search_attributes.get(key)
