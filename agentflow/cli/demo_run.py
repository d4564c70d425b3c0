"""The demo's engine: start the cases, let people (or stand-ins) decide, and score how they end."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Literal
from uuid import uuid4

from temporalio.client import WorkflowFailureError
from temporalio.service import RPCError, RPCStatusCode

from agentflow.cli.stack import RunningStack
from agentflow.cli.suite import DemoCase, DemoSuite, EffectCheck
from agentflow.client import AgentClient
from agentflow.contracts.approval import ApprovalRequest
from agentflow.contracts.escalation import Escalation, Resolution
from agentflow.contracts.names import APPROVE_SIGNAL, REJECT_SIGNAL
from agentflow.contracts.outcome import AgentOutcome

POLL_SECONDS = 1.0
STAND_INS = ("Avery (stand-in)", "Blake (stand-in)")


@dataclass(frozen=True)
class Progress:
    """Where one case stands."""

    case: DemoCase
    workflow_id: str
    state: str = "queued"
    detail: str = ""
    outcome: AgentOutcome[Any] | None = None
    failure: str | None = None
    """Set when the workflow failed: a bug, and no outcome."""
    approvals: tuple[str, ...] = ()
    """Who decided what, in words."""

    @property
    def is_over(self) -> bool:
        """Whether the run has ended."""
        return self.outcome is not None or self.failure is not None

    @property
    def matches(self) -> bool:
        """Whether it ended as its label accepts."""
        return self.outcome is not None and self.case.matches(self.outcome)


@dataclass(frozen=True)
class Decision:
    """What a person says of a pending action."""

    verdict: Literal["approve", "reject"]
    by: str
    reason: str


@dataclass(frozen=True)
class Score:
    """How the demo went."""

    tickets: int
    completed: int
    escalated: int
    denied: int
    label_matches: int
    wrong_refunds: int
    duplicate_refunds: int
    cost_usd: Decimal
    cpsc_usd: Decimal | None
    """Cost of all runs for each run that completed as its label accepts; ``None`` without one."""
    seconds: float


class Deciders:
    """Who decides: asked for each pending action and each escalation."""

    async def approval(self, progress: Progress, request: ApprovalRequest, approved_by: int) -> Decision:
        """Decide on a pending action; ``approved_by`` people have approved it already."""
        raise NotImplementedError

    async def escalation(self, progress: Progress, escalation: Escalation) -> Resolution:
        """Take over an escalated run."""
        raise NotImplementedError


class StandIns(Deciders):
    """Two stand-in people, who decide as somebody who read the ticket would: by its label."""

    async def approval(self, progress: Progress, request: ApprovalRequest, approved_by: int) -> Decision:
        """What the label says; the second person signs what needs two."""
        said = progress.case.stand_in(request)
        return Decision(said.verdict, STAND_INS[approved_by % len(STAND_INS)], said.reason)

    async def escalation(self, progress: Progress, escalation: Escalation) -> Resolution:
        """The stand-in takes the case over by hand: the run ends as escalated."""
        return Resolution(
            action="abort", by=STAND_INS[0], text="I'll answer this one myself", escalation_id=escalation.id
        )


@dataclass
class DemoRun:
    """All cases of one demo, running at once."""

    stack: RunningStack
    suite: DemoSuite
    cases: Sequence[DemoCase]
    deciders: Deciders
    changed: Callable[[], None]
    """Called whenever the progress of a case has changed."""
    progress: dict[str, Progress] = field(default_factory=dict[str, Progress])
    _decided: set[tuple[str, str, int]] = field(default_factory=set[tuple[str, str, int]])

    async def run(self) -> list[Progress]:
        """Start every case, follow each to its end, and answer how they ended."""
        client = AgentClient(self.stack.client)
        batch = uuid4().hex[:6]
        for case in self.cases:
            workflow_id = f"{self.suite.workflow}-{case.case_id}-{batch}"
            self.progress[case.case_id] = Progress(case, workflow_id)
        await asyncio.gather(*(self._follow(client, case) for case in self.cases))
        return list(self.progress.values())

    async def _follow(self, client: AgentClient, case: DemoCase) -> None:
        progress = self.progress[case.case_id]
        await client.start(
            self.suite.workflow,
            case.task(),
            task_queue=self.stack.task_queue,
            workflow_id=progress.workflow_id,
        )
        ended = asyncio.create_task(self._end(client, case))
        while not ended.done():
            await asyncio.wait({ended}, timeout=POLL_SECONDS)
            if not ended.done():
                await _unless_busy(self._attend(client, case))
        await ended

    async def _end(self, client: AgentClient, case: DemoCase) -> None:
        workflow_id = self.progress[case.case_id].workflow_id
        try:
            outcome = await client.result(workflow_id, self.suite.output_type)
            self._update(case, state="ended", outcome=outcome, detail=outcome.reason)
        except WorkflowFailureError as error:
            self._update(case, state="failed", failure=str(error.cause), detail=str(error.cause))

    async def _attend(self, client: AgentClient, case: DemoCase) -> None:
        """See where a run stands, and answer what it waits for."""
        workflow_id = self.progress[case.case_id].workflow_id
        status = await client.status(workflow_id)
        self._update(case, state=status.state, detail=status.detail)
        if status.escalation:
            await self._take_over(client, case, status.escalation)
        elif status.pending_approvals:
            for request in await client.pending_approvals(workflow_id):
                await self._decide(client, case, request)

    async def _decide(self, client: AgentClient, case: DemoCase, request: ApprovalRequest) -> None:
        progress = self.progress[case.case_id]
        for nth in range(request.quorum.people):
            if (mark := (progress.workflow_id, request.id, nth)) in self._decided:
                continue
            decision = await self.deciders.approval(progress, request, nth)
            self._decided.add(mark)
            signal = APPROVE_SIGNAL if decision.verdict == "approve" else REJECT_SIGNAL
            handle = client.temporal.get_workflow_handle(progress.workflow_id)
            await handle.signal(
                signal,
                {
                    "approval_id": request.id,
                    "by": decision.by,
                    "arguments_hash": request.arguments_hash,
                    "reason": decision.reason,
                },
            )
            said = f"{decision.by}: {decision.verdict} {request.tool}"
            self._update(case, approvals=(*self.progress[case.case_id].approvals, said))
            if decision.verdict == "reject":
                return

    async def _take_over(self, client: AgentClient, case: DemoCase, escalation: Escalation) -> None:
        progress = self.progress[case.case_id]
        if (mark := (progress.workflow_id, escalation.id, 0)) in self._decided:
            return
        self._decided.add(mark)
        resolution = await self.deciders.escalation(progress, escalation)
        await client.resolve(progress.workflow_id, resolution)
        said = f"{resolution.by}: {resolution.action}"
        self._update(case, approvals=(*self.progress[case.case_id].approvals, said))

    def _update(self, case: DemoCase, **changes: Any) -> None:
        before = self.progress[case.case_id]
        after = replace(before, **changes)
        if after != before:
            self.progress[case.case_id] = after
            self.changed()


def score(runs: Sequence[Progress], check: EffectCheck, seconds: float) -> Score:
    """Success against the labels, and what it cost.

    CPSC: the cost of all runs, failed ones included, divided by the runs that completed as their label
    accepts.
    """
    outcomes = [run.outcome for run in runs if run.outcome]
    cost = sum((outcome.cost_usd for outcome in outcomes), Decimal(0))
    succeeded = sum(
        run.matches and run.outcome is not None and run.outcome.status == "completed" for run in runs
    )
    return Score(
        tickets=len(runs),
        completed=sum(outcome.status == "completed" for outcome in outcomes),
        escalated=sum(outcome.status == "escalated" for outcome in outcomes),
        denied=sum(outcome.status == "denied" for outcome in outcomes),
        label_matches=sum(run.matches for run in runs),
        wrong_refunds=check.wrong,
        duplicate_refunds=check.duplicate,
        cost_usd=cost,
        cpsc_usd=cost / succeeded if succeeded else None,
        seconds=round(seconds, 1),
    )


async def _unless_busy(step: Awaitable[None]) -> None:
    """A query that the busy worker didn't answer in time is asked again at the next look."""
    try:
        await step
    except RPCError as error:
        passing = (
            RPCStatusCode.DEADLINE_EXCEEDED,
            RPCStatusCode.CANCELLED,
            RPCStatusCode.FAILED_PRECONDITION,
        )
        # A run may end between two looks; its end is awaited elsewhere.
        if error.status not in (*passing, RPCStatusCode.NOT_FOUND):
            raise
