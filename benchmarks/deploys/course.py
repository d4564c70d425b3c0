"""One run: brought to its state, and on from there with the help of people."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from temporalio.client import (
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowQueryFailedError,
)
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError, RPCStatusCode

from agentflow import AgentClient, AgentOutcome, AgentTask, Resolution
from agentflow.contracts.approval import ApprovalDecision, ApprovalRequest
from agentflow.contracts.attention import Attention
from agentflow.contracts.escalation import Escalation
from agentflow.contracts.names import AGENT_STATUS
from agentflow.errors import DecisionRefusedError
from benchmarks.deploys.agent import Order
from benchmarks.deploys.outside import Outside
from benchmarks.deploys.states import MIDDLE, SUPPLIED, State

PATIENCE = 75
"""Seconds in which each leg of a run is done, or the run is stuck."""

LOOK_SECONDS = 0.2
SETTLE_SECONDS = 2
_STATUS = SearchAttributeKey.for_keyword(AGENT_STATUS)
_WAITING = ("waiting_for_approval", "escalated")


@dataclass
class Course:
    """A run at work."""

    state: State
    id: str
    outside: Outside
    agents: Callable[[], AgentClient]
    patience: float = PATIENCE
    let_go: Callable[[str], Awaitable[None]] | None = None
    """Lets any worker take its next step, where there are several. Then it is looked at by what the server
    has, and people are heard by signals: where an open update or a query meets a workflow task that goes to
    another worker, Temporal's SDK may replay in another order than it was made, deploy or no deploy."""
    refusals: list[str] = field(default_factory=list[str])
    """Approvals that did not count."""
    approved: list[str] = field(default_factory=list[str])
    """What people have let the run do."""
    escalations: list[str] = field(default_factory=list[str])
    """Why people were asked, once the deploy was done."""
    faults: list[str] = field(default_factory=list[str])
    """Queries and updates that failed."""
    outcome: AgentOutcome[Any] | None = None
    failure: str = ""
    is_stuck: bool = False

    @property
    def handle(self) -> WorkflowHandle[Any, Any]:
        """Its handle."""
        return self.agents().temporal.get_workflow_handle(self.id, result_type=AgentOutcome[Any])

    # ------------------------------------------------------------ to its state

    async def begin(self, task_queue: str, *, stops_in_the_middle: bool) -> None:
        """Start it, and wait until it is in its state."""
        state = self.state
        if state.model_gate is not None:
            self.outside.gate(self.id, f"turn {state.model_gate}")
        if state.write_gate:
            self.outside.gate(self.id, state.write_gate)
        if stops_in_the_middle:
            self.outside.gates[self.id, MIDDLE] = self.outside.gate(self.id, f"turn {state.middle}")
        self.outside.lost.add(self.id)
        task = AgentTask(input=Order(run=self.id, state=state.name), requested_by="inbox")
        agent = "LongClerk" if state.is_long else "Clerk"
        await self._patiently(self.agents().start(agent, task, task_queue=task_queue, workflow_id=self.id))
        if place := self._gate_of_state():
            await self._patiently(self.outside.gate(self.id, place).reached.wait())
        else:
            await self._patiently(self._attention())

    async def _loosen(self) -> None:
        """Let any worker take its next step."""
        if self.let_go is not None:
            await self._quiet()
            await self.let_go(self.id)

    async def _quiet(self) -> None:
        """Wait until no workflow task of it is under way."""
        while (await self.handle.describe()).raw_description.HasField("pending_workflow_task"):  # noqa: ASYNC110
            await asyncio.sleep(LOOK_SECONDS)

    def _gate_of_state(self) -> str | None:
        state = self.state
        return f"turn {state.model_gate}" if state.model_gate is not None else state.write_gate

    # ------------------------------------------------------------ on from there

    async def rebuild(self) -> None:
        """Have it rebuilt from history by a worker that is up."""
        try:
            await self._loosen()
            await self._patiently(self.agents().status(self.id))
        except WorkflowQueryFailedError as error:
            self.faults.append(f"query: {error}")
        except (RPCError, TimeoutError) as error:
            self.faults.append(f"query: {type(error).__name__}: {error}")

    async def go_on(self) -> None:
        """Let it go on, with the help of people, to its end or to the gate in the middle."""
        if place := self._gate_of_state():
            await self._loosen()
            self.outside.gate(self.id, place).opened.set()
        await self._served(self.outside.gates.get((self.id, MIDDLE)))

    async def finish(self) -> None:
        """See it to its end."""
        if gate := self.outside.gates.get((self.id, MIDDLE)):
            if gate.reached.is_set() and not self.is_over:
                await self._loosen()
            gate.opened.set()
        await self._served(None)

    async def _served(self, until: Any) -> None:
        if self.is_over:
            return
        serving = asyncio.ensure_future(self._serve())
        stop = asyncio.ensure_future(until.reached.wait()) if until else None
        try:
            async with asyncio.timeout(self.patience):
                await asyncio.wait(
                    [serving, stop] if stop else [serving], return_when=asyncio.FIRST_COMPLETED
                )
                if serving.done():
                    await serving
        except TimeoutError:
            self.is_stuck = True
        finally:
            for task in (serving, stop):
                if task is not None:
                    task.cancel()
            await asyncio.gather(*filter(None, (serving, stop)), return_exceptions=True)

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes of it."""
        return self.is_stuck or bool(self.failure) or self.outcome is not None

    async def _serve(self) -> None:
        while (attention := await self._attention()).state != "ended":
            for request in attention.approvals:
                await self._approve(request)
            if attention.escalation is not None:
                await self._resolve(attention.escalation)
        try:
            self.outcome = await self.handle.result()
        except WorkflowFailureError as error:
            self.failure = f"{error.cause}"

    async def _attention(self) -> Attention:
        if self.let_go is not None:
            return await self._looked_at()
        while True:
            try:
                return await self.agents().attention(self.id)
            except RPCError as error:
                if error.status is RPCStatusCode.NOT_FOUND:
                    return Attention(state="ended")
                # An update is aborted where its run goes to another worker, and none is taken where
                # the run's workflow task fails: until patience ends, it may not any more.
                if error.status not in (RPCStatusCode.UNAVAILABLE, RPCStatusCode.FAILED_PRECONDITION):
                    raise
                await asyncio.sleep(LOOK_SECONDS)

    async def _looked_at(self) -> Attention:
        """The same by what the server has, which asks no worker before the run waits."""
        while (standing := await self._standing()) not in ("ended", *_WAITING):  # noqa: ASYNC110
            await asyncio.sleep(LOOK_SECONDS)
        await self._quiet()
        if standing == "ended":
            return Attention(state="ended")
        try:
            status = await self.agents().status(self.id)
            approvals = tuple(await self.agents().pending_approvals(self.id))
        except WorkflowQueryFailedError as error:
            self.faults.append(f"query: {error}")
            await asyncio.sleep(LOOK_SECONDS)
            return Attention(state="escalated")
        return Attention(
            state="escalated" if status.escalation else "waiting_for_approval",
            approvals=approvals,
            escalation=status.escalation,
        )

    async def _standing(self) -> str:
        """Where it stands, by its search attributes."""
        described = await self.handle.describe()
        if described.status is not WorkflowExecutionStatus.RUNNING:
            return "ended"
        return described.typed_search_attributes.get(_STATUS) or "running"

    async def _settle(self, standing: str) -> None:
        """Give it time to go on from where it stood."""
        # Nobody tells a client what becomes of a run: it is looked at again and again.
        async with asyncio.timeout(SETTLE_SECONDS):
            while await self._standing() == standing:  # noqa: ASYNC110
                await asyncio.sleep(LOOK_SECONDS)

    async def _approve(self, request: ApprovalRequest) -> None:
        try:
            await self._say_yes(request)
        except DecisionRefusedError as error:
            self.refusals.append(f"{request.tool}: {error}")
        except RPCError as error:
            # Whoever decides tries again where it was not heard.
            if error.status not in (RPCStatusCode.UNAVAILABLE, RPCStatusCode.NOT_FOUND):
                raise
        else:
            self.approved.append(f"{request.tool} {request.arguments.get('amount')}")

    async def _say_yes(self, request: ApprovalRequest) -> None:
        if self.let_go is None:
            await self.agents().approve(self.id, request.id, by="ann", arguments_hash=request.arguments_hash)
            return
        await self._loosen()
        said = ApprovalDecision(approval_id=request.id, by="ann", arguments_hash=request.arguments_hash)
        await self.handle.signal("approve", said)
        with suppress(TimeoutError):
            await self._settle("waiting_for_approval")
        await self._quiet()
        pending = await self.agents().pending_approvals(self.id)
        if still := [one for one in pending if one.id == request.id]:
            raise DecisionRefusedError(f"{still[0].refused}")

    async def _resolve(self, escalation: Escalation) -> None:
        self.escalations.append(escalation.reason)
        await self._loosen()
        await self.agents().resolve(self.id, self._resolution(escalation))
        await self._until_heard(escalation)

    def _resolution(self, escalation: Escalation) -> Resolution:
        if effect := escalation.effect:
            what = f"{effect.tool} {' '.join(map(str, effect.arguments.values()))}"
            if self.outside.effects[self.id][what]:
                result = f"done: {what}"
                return Resolution(action="happened", by="bob", text="I see it", result=result)
            return Resolution(action="did_not_happen", by="bob", text="nothing there")
        if escalation.answerable and self.state.people == "answer":
            return Resolution(action="answer", by="bob", answer=SUPPLIED)
        return Resolution(action="guide", by="bob", text="go on without it")

    async def _until_heard(self, escalation: Escalation) -> None:
        """Wait until a resolution was taken: a signal is answered before the run has it."""
        if self.let_go is not None:
            with suppress(TimeoutError):
                await self._settle("escalated")
                return
            await self._quiet()
        while True:
            try:
                status = await self.agents().status(self.id)
            except WorkflowQueryFailedError as error:
                self.faults.append(f"query: {error}")
                return
            if status.escalation is None or status.escalation.question_hash != escalation.question_hash:
                return
            if status.escalation.refusals > escalation.refusals:
                self.refusals.append(f"resolution: {status.escalation.refused[-1]}")
                return
            await asyncio.sleep(0.1)

    async def _patiently(self, wanted: Awaitable[Any]) -> Any:
        async with asyncio.timeout(self.patience):
            return await wanted
