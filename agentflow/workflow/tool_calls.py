"""The way of one tool call: contract, rules, people, budget, activity."""

import asyncio

from temporalio import workflow

from agentflow.contracts.approval import ApprovalRequest
from agentflow.contracts.carried import HeldCall
from agentflow.contracts.grounds import Grounds
from agentflow.contracts.messages import ToolCall
from agentflow.contracts.rules import Decision, Quorum
from agentflow.contracts.tools import ToolContract, ToolInvocation, ToolResult
from agentflow.contracts.tools import ToolError as ToolProblem
from agentflow.contracts.work import Work
from agentflow.core.action import Action, Asking
from agentflow.core.idempotency import ledger_key, same_work
from agentflow.workflow import waiting
from agentflow.workflow.carrying import Carrying
from agentflow.workflow.continuation import CallHeldError, Continuation
from agentflow.workflow.course import Allowed
from agentflow.workflow.deciding import Deciding
from agentflow.workflow.pause import pause
from agentflow.workflow.run import Run


class ToolCalls:
    """Carries out the tool calls of one run."""

    def __init__(self, run: Run, continuation: Continuation) -> None:
        self._run = run
        self._deciding = Deciding(run)
        self._carrying = Carrying(run, self._deciding)
        self._continuation = continuation
        self._under_way = 0
        self._waiting = 0
        self._settling: asyncio.Task[None] | None = None
        """Runs while a local activity may have ended just before."""
        self._is_settled = True

    @property
    def under_way(self) -> int:
        """How many calls have begun and not ended."""
        return self._under_way

    async def carry_out(self, held: HeldCall) -> ToolResult:
        """Take a call all the way, or as far as it may go.

        Args:
            held: The call, and how far it came before the run continued as new.

        Returns:
            The output, or the error that the model should read.

        Raises:
            BudgetExhausted: the call doesn't fit what is left.
            RunEscalated: it failed or its effect is unknown, and a person aborted or the deadline passed.
            CallHeldError: it waits for people, and the run should continue as new.
        """
        self._under_way += 1
        try:
            result = held.result or await self._from_start_to_end(held)
            if self._waiting:
                self._settle()
            return result
        finally:
            self._under_way -= 1

    async def hand_over(self, call: ToolCall, reason: str) -> ToolResult:
        """Let a person say what to do in place of a call; the model is told.

        Raises:
            RunEscalated: the person aborted, or the deadline passed.
        """
        self._under_way += 1
        try:
            return self._carrying.done(call, None, await self._carrying.taken_over(reason))
        finally:
            self._under_way -= 1

    async def _from_start_to_end(self, held: HeldCall) -> ToolResult:
        call = held.call
        if problem := self._run.definition.catalog.check(call):
            return self._carrying.done(call, None, ToolResult(error=problem))
        contract = self._run.definition.catalog.contracts[call.tool]
        for arguments in (call.written, call.arguments):
            self._run.redaction.of_arguments(call.tool, arguments)
        if held.index is None or held.decision is None:
            # The index is taken before anything is awaited, so that it follows the order of the calls.
            self._run.call_index += 1
            index = self._run.call_index
            decision = self._deciding.recorded(call, await self._deciding.decide(call, contract))
            held = HeldCall(call=call, index=index, decision=decision)
        return await self._decided(held, contract)

    async def _decided(self, held: HeldCall, contract: ToolContract) -> ToolResult:
        """The rules have decided on the call."""
        assert held.decision is not None
        assert held.index is not None
        call, index, decision = held.call, held.index, held.decision
        request: ApprovalRequest | None = None
        if decision.verdict == "ask":
            request = self._asked(held, contract, decision)
            decision, refusal = await self._ask_people(held, contract, decision, request)
            if refusal:
                return self._carrying.done(call, decision, ToolResult(error=refusal))
        if decision.verdict == "deny":
            return self._carrying.denied(call, decision)
        invocation = ToolInvocation(
            call_id=call.id,
            arguments=call.arguments,
            decision=decision,
            ledger_key=ledger_key(self._run.manifest.root, self._run.manifest.chain, index, call.tool),
            takes=self._run.definition.catalog.takes[call.tool],
            source=contract.import_digest,
            known=self._run.told_values(),
            grounds=self._grounds(contract, request),
            work=self._work(contract, decision),
        )
        return await self._carrying.carry_out(Allowed(call, index, contract, decision, invocation))

    def _work(self, contract: ToolContract, decision: Decision) -> Work | None:
        """What a write does; its activity looks by it whether another run of the workflow id did it."""
        if contract.sure_effect == "read":
            return None
        pinned = self._run.manifest
        work = same_work(pinned.root, contract.name, decision.arguments_hash)
        if pinned.earlier_effects == "again":
            return Work(id=work, chain=pinned.chain, alone=True)
        return Work(id=work, chain=pinned.chain, beside=self._run.effects.of_work(work))

    def _grounds(self, contract: ToolContract, approved: ApprovalRequest | None) -> Grounds | None:
        """What a write rests on; its activity asks by it whether it is still permitted."""
        if contract.sure_effect == "read":
            return None
        run = self._run
        return Grounds(
            agent=run.definition.name,
            tenant=run.task.tenant,
            requested_by=run.task.requested_by,
            tier=run.manifest.tier,
            identity=run.people.identities.method,
            quorum=approved.quorum if approved else None,
            consents=run.people.approvals.consents(approved.id) if approved else (),
        )

    def _asked(self, held: HeldCall, contract: ToolContract, asked: Decision) -> ApprovalRequest:
        """The approval that a call waits for: a new one, unless it waited before the run continued as new."""
        run, call = self._run, held.call
        if held.approval_id is not None:
            return run.people.approvals.request(held.approval_id)
        action = Action(call.tool, call.arguments, contract, call.id)
        deadline = workflow.now() + run.definition.approval_timeout
        asking = Asking(asked.rule, asked.reason, asked.quorum or Quorum(), deadline)
        return waiting.open_approval(run, action, asking)

    def _may_let_go(self) -> bool:
        """Whether all that the run does is wait for people, and it should continue as new."""
        only_waits = self._under_way == self._waiting and not self._settling
        return only_waits and self._continuation.is_due_here

    def _settle(self) -> None:
        """Begin to wait: history's length counts once a timer fired, as a local activity may have ended."""
        self._is_settled = False
        if self._settling is None and self._run.definition.performs_by_default:
            self._settling = asyncio.create_task(self._settled())

    async def _settled(self) -> None:
        while not self._is_settled:
            self._is_settled = True
            await pause("the run waits for people")
        self._settling = None

    async def _ask_people(
        self, held: HeldCall, contract: ToolContract, asked: Decision, request: ApprovalRequest
    ) -> tuple[Decision, ToolProblem | None]:
        call = held.call
        self._waiting += 1
        self._settle()
        try:
            outcome = await waiting.await_approval(self._run, request, self._may_let_go)
            if outcome is None:
                raise CallHeldError(held.model_copy(update={"approval_id": request.id}))
        finally:
            self._waiting -= 1
        if self._settling and not self._waiting:
            # A signal or a timer ended the wait: whatever began with it may end, in a replay too.
            self._settling.cancel()
            self._settling = None
        if outcome.status != "approved":
            why = outcome.reason or "no reason given"
            who = f" by {', '.join(outcome.by)}" if outcome.status == "rejected" else ""
            return asked, ToolProblem(kind="rejected", message=f"{outcome.status}{who}: {why}")
        # Days may have passed and other calls been made: what a rule denies now stays denied.
        again = await self._deciding.decide(call, contract)
        if again.verdict == "deny":
            return self._deciding.recorded(call, again), None
        allowed = asked.model_copy(update={"verdict": "allow", "granted_by": outcome.by})
        return self._deciding.recorded(call, allowed), None
