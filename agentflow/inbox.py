"""What waits for people, over all runs: listed by visibility, decided on many at a time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import TypeAdapter
from temporalio.client import Client, WorkflowExecution
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError

from agentflow.adapters.visibility import approvals_query
from agentflow.client import AgentClient
from agentflow.contracts import names
from agentflow.contracts.approval import ApprovalDecision, ApprovalRequest, DecisionReceipt
from agentflow.core.idempotency import arguments_hash
from agentflow.core.person import has_one_of
from agentflow.errors import AgentflowError, DecisionRefusedError

MAX_PAGE = 100
"""Runs in one answer of the server's: with their memos they stay well below its limit."""
ASKED_AT_ONCE = 8
"""Runs asked at the same time: each question makes a worker load a run."""
DECIDED_AT_ONCE = 32
ANSWER_TIMEOUT = timedelta(seconds=8)
"""For each of many runs; one without a worker must not hold up the list."""

_AGENT = SearchAttributeKey.for_keyword(names.AGENT_NAME)
_TENANT = SearchAttributeKey.for_keyword(names.AGENT_TENANT)
_REQUESTS: TypeAdapter[list[ApprovalRequest]] = TypeAdapter(list[ApprovalRequest])


@dataclass(frozen=True)
class ApprovalFilter:
    """Which pending actions are wanted; what isn't said is any."""

    agent: str | None = None
    tenant: str | None = None
    roles: tuple[str, ...] = ()
    """Those that somebody has: actions that one of them, or anybody, may decide on."""
    tool: str | None = None
    rule: str | None = None
    query: str | None = None
    """A visibility query of one's own, added to it."""

    def fits(self, request: ApprovalRequest, now: datetime) -> bool:
        """Whether an action is wanted."""
        wanted = request.roles_at(now)
        return (
            self.tool in (None, request.tool)
            and self.rule in (None, request.rule)
            and not (self.roles and wanted and not has_one_of(self.roles, wanted))
        )


@dataclass(frozen=True)
class RunApprovals:
    """The pending actions of one run, or why they can't be told."""

    workflow_id: str
    agent: str = ""
    tenant: str = ""
    approvals: Sequence[ApprovalRequest] = ()
    problem: str | None = None


@dataclass(frozen=True)
class Decided:
    """What became of one decision of many."""

    workflow_id: str
    approval_id: str
    receipt: DecisionReceipt | None = None
    problem: str | None = None


class Inbox:
    """Pending approvals of all runs in a namespace."""

    def __init__(self, client: AgentClient) -> None:
        self._client = client

    async def pending(
        self, wanted: ApprovalFilter | None = None, *, limit: int = 1_000
    ) -> list[RunApprovals]:
        """The runs that wait for approvals, the newest first, with the actions that are wanted.

        No worker is asked, but for runs whose actions are too long for a list or hold what is personal, or
        that began before runs told of them. Visibility follows the runs by a moment: a decision on what is no
        longer pending is refused.

        Args:
            wanted: Which.
            limit: At most so many runs.

        Raises:
            temporalio.service.RPCError: the server can't be reached, or lacks the search attributes.
        """
        wanted = wanted or ApprovalFilter()
        free = asyncio.Semaphore(ASKED_AT_ONCE)
        runs = [run async for run in _runs(self._client.temporal, wanted, limit)]
        found = await asyncio.gather(*(self._of(run, free) for run in runs))
        now = datetime.now(UTC)
        listed: list[RunApprovals] = []
        for run in found:
            fitting = tuple(request for request in run.approvals if wanted.fits(request, now))
            if fitting or run.problem:
                listed.append(RunApprovals(run.workflow_id, run.agent, run.tenant, fitting, run.problem))
        return listed

    async def decide(
        self,
        decisions: Iterable[tuple[str, ApprovalDecision]],
        *,
        told: Callable[[Decided], None] | None = None,
    ) -> list[Decided]:
        """Send many decisions, some at a time. One that doesn't count is reported, and no more.

        Args:
            decisions: Workflow ids, and what a person says.
            told: Hears of each as it comes.
        """
        free = asyncio.Semaphore(DECIDED_AT_ONCE)

        async def send(workflow_id: str, decision: ApprovalDecision) -> Decided:
            async with free:
                done = await self._decided(workflow_id, decision)
            if told:
                told(done)
            return done

        return list(await asyncio.gather(*(send(*decision) for decision in decisions)))

    async def _decided(self, workflow_id: str, decision: ApprovalDecision) -> Decided:
        about = (workflow_id, decision.approval_id)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT.total_seconds() * 2):
                return Decided(*about, receipt=await self._client.decide(workflow_id, decision))
        except DecisionRefusedError as refused:
            return Decided(*about, problem=str(refused))
        except TimeoutError:
            return Decided(*about, problem="no worker answered; the decision may still be taken")
        except (RPCError, AgentflowError) as error:
            return Decided(*about, problem=str(error))

    async def _of(self, run: WorkflowExecution, free: asyncio.Semaphore) -> RunApprovals:
        agent = run.typed_search_attributes.get(_AGENT) or ""
        tenant = run.typed_search_attributes.get(_TENANT) or ""
        listed = await _listed(run)
        if listed is not None and _altered(listed) is None:
            return RunApprovals(run.id, agent, tenant, listed)
        async with free:
            found, problem = await _answer(self._client.pending_approvals(run.id))
        return RunApprovals(run.id, agent, tenant, tuple(found or ()), problem or _altered(found or ()))


async def _runs(client: Client, wanted: ApprovalFilter, limit: int) -> AsyncIterator[WorkflowExecution]:
    query = approvals_query(agent=wanted.agent, tenant=wanted.tenant, roles=wanted.roles, extra=wanted.query)
    found = client.list_workflows(
        query, limit=limit, page_size=min(limit, MAX_PAGE), rpc_timeout=timedelta(seconds=15)
    )
    async for run in found:
        yield run


async def _listed(run: WorkflowExecution) -> list[ApprovalRequest] | None:
    """What the run's memo says; ``None`` where it says nothing that can be read."""
    try:
        memo: Any = await run.memo_value(names.APPROVALS_MEMO, None)
        return None if memo is None else _REQUESTS.validate_python(memo)
    except Exception:
        # A codec may raise anything: what can't be read here, the run is asked.
        return None


async def _answer(asked: Awaitable[list[ApprovalRequest]]) -> tuple[list[ApprovalRequest] | None, str | None]:
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT.total_seconds()):
            return await asked, None
    except TimeoutError:
        return None, "no worker answered"
    except Exception as error:
        # A query that fails does so in many ways, and one run must not hold up the list.
        return None, f"can't be asked: {error}"


def _altered(requests: Sequence[ApprovalRequest]) -> str | None:
    """Whether an action's arguments are others than those that a decision would be bound to."""
    for request in requests:
        if arguments_hash(request.tool, request.arguments) != request.arguments_hash:
            return f"{request.id} shows other arguments than its hash binds: do not decide on it"
    return None
