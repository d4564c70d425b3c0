"""Measures, while a worker runs, how many runs wait for people and since when. Asks visibility, no worker."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import structlog
from temporalio.client import Client, WorkflowExecution
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError

from agentflow.adapters.visibility import OPEN, approvals_query, quoted
from agentflow.contracts import names
from agentflow.telemetry import metrics

_LOG = structlog.get_logger("agentflow")

MAX_LOOKED_AT = 1_000
"""Runs of one kind, the newest: the number is of all there are, the age of these."""
_PAGE = 200
_ANSWER = timedelta(seconds=15)

Wait = Literal["approval", "escalation"]

_QUERIES: dict[Wait, str] = {
    "approval": approvals_query(),
    "escalation": f"{names.AGENT_STATUS} = 'escalated' AND {OPEN}",
}
_AGENT = SearchAttributeKey.for_keyword(names.AGENT_NAME)


class WaitingRuns:
    """The gauges of waiting runs, for the agents of one namespace."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._seen: set[tuple[str, Wait]] = set()

    async def measure(self) -> None:
        """Set the gauges.

        Raises:
            RPCError: the server can't be asked.
        """
        for wait in _QUERIES:
            await self._measure(wait)

    async def _measure(self, wait: Wait) -> None:
        query = _QUERIES[wait]
        found: defaultdict[str, list[datetime]] = defaultdict(list)
        looked_at = 0
        runs = self._client.list_workflows(query, limit=MAX_LOOKED_AT, page_size=_PAGE, rpc_timeout=_ANSWER)
        async for run in runs:
            looked_at += 1
            since = await _since(run) if wait == "approval" else run.start_time
            found[run.typed_search_attributes.get(_AGENT) or ""].append(since)
        counts = {agent: len(since) for agent, since in found.items()}
        if looked_at == MAX_LOOKED_AT:
            counts = {agent: await self._count(query, agent) for agent in counts}
        now = datetime.now(UTC)
        for agent, since in found.items():
            age = max((now - min(since)).total_seconds(), 0)
            metrics.waiting(agent, wait, counts[agent], age)
        # A gauge keeps what it was told last.
        for agent, kind in self._seen:
            if kind == wait and agent not in found:
                metrics.waiting(agent, wait, 0, 0)
        self._seen |= {(agent, wait) for agent in found}

    async def _count(self, query: str, agent: str) -> int:
        counted = await self._client.count_workflows(
            f"{query} AND {names.AGENT_NAME} = {quoted(agent)}", rpc_timeout=_ANSWER
        )
        return counted.count


@asynccontextmanager
async def waiting_measured(client: Client, every: timedelta | None) -> AsyncGenerator[None]:
    """Measure them while the block runs, where somebody records metrics."""
    if every is None or not metrics.is_measuring():
        yield
        return
    measuring = asyncio.create_task(_measure_always(WaitingRuns(client), every))
    try:
        yield
    finally:
        measuring.cancel()
        with suppress(asyncio.CancelledError):
            await measuring


async def _measure_always(runs: WaitingRuns, every: timedelta) -> None:
    while True:
        try:
            await runs.measure()
        except RPCError as error:
            _LOG.warning("waiting runs not measured", error_type=error.status.name)
        await asyncio.sleep(every.total_seconds())


async def _since(run: WorkflowExecution) -> datetime:
    """Since when it waits for its oldest approval; where that can't be read, since it began."""
    try:
        told: Sequence[dict[str, Any]] = await run.memo_value(names.APPROVALS_MEMO, None) or ()
        asked = [datetime.fromisoformat(request["asked_at"]) for request in told]
        return min(asked, default=run.start_time)
    except Exception:
        # Of a codec that isn't this client's, or of a run that began before it was told.
        return run.start_time
