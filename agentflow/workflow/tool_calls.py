"""The way of one tool call: contract, rules, people, budget, activity."""

from asyncio import CancelledError
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from agentflow.contracts.approval import ApprovalRequest
from agentflow.contracts.budget import Spend
from agentflow.contracts.carried import HeldCall
from agentflow.contracts.effects import EffectReport
from agentflow.contracts.grounds import Grounds
from agentflow.contracts.messages import ToolCall
from agentflow.contracts.names import FORBIDDEN_NOW_ERROR
from agentflow.contracts.outcome import ToolCallSummary
from agentflow.contracts.rules import Decision, DecisionRecord, Quorum
from agentflow.contracts.tools import ToolContract, ToolInvocation, ToolResult
from agentflow.contracts.tools import ToolError as ToolProblem
from agentflow.core.action import Action, Asking
from agentflow.core.idempotency import ledger_key
from agentflow.core.policy import decide
from agentflow.core.provenance import PastCall
from agentflow.core.rule_context import RuleContext
from agentflow.errors import PayloadTooLargeError, RunDenied, RunStopped
from agentflow.telemetry import semconv
from agentflow.telemetry.spans import is_replay_safe, workflow_span
from agentflow.workflow import dispatch, waiting
from agentflow.workflow.continuation import CallHeldError, Continuation
from agentflow.workflow.effects import FailedWrite, record_forbidden
from agentflow.workflow.run import Run


@dataclass(frozen=True)
class _Allowed:
    """A call that rules or people have allowed, as it goes to the worker."""

    call: ToolCall
    contract: ToolContract
    decision: Decision
    invocation: ToolInvocation


class ToolCalls:
    """Carries out the tool calls of one run."""

    def __init__(
        self,
        run: Run,
        approval_timeout: timedelta,
        escalation_timeout: timedelta,
        continuation: Continuation,
    ) -> None:
        self._run = run
        self._approval_timeout = approval_timeout
        self._escalation_timeout = escalation_timeout
        self._continuation = continuation
        self._under_way = 0
        self._waiting = 0

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
            RunEscalated: it failed or its effect is unknown, and a person aborted or nobody came.
            CallHeldError: it waits for people, and the run should continue as new.
        """
        self._under_way += 1
        try:
            return held.result or await self._from_start_to_end(held)
        finally:
            self._under_way -= 1

    async def hand_over(self, call: ToolCall, reason: str) -> ToolResult:
        """Let a person say what to do in place of a call; the model is told.

        Raises:
            RunEscalated: the person aborted, or nobody came.
        """
        self._under_way += 1
        try:
            return self._done(call, None, await self._taken_over(reason))
        finally:
            self._under_way -= 1

    async def _from_start_to_end(self, held: HeldCall) -> ToolResult:
        call = held.call
        if problem := self._run.definition.catalog.check(call):
            return self._done(call, None, ToolResult(error=problem))
        contract = self._run.definition.catalog.contracts[call.tool]
        self._run.redaction.of_arguments(call.tool, call.arguments)
        if held.index is None or held.decision is None:
            # The index is taken before anything is awaited, so that it follows the order of the calls.
            self._run.call_index += 1
            decision = self._decide(call, contract, f"call-{self._run.call_index}")
            decision = self._recorded(call, decision)
            held = HeldCall(call=call, index=self._run.call_index, decision=decision)
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
                return self._done(call, decision, ToolResult(error=refusal))
        if decision.verdict == "deny":
            denied = ToolProblem(kind="denied", message=f"rule {decision.rule}: {decision.reason}")
            return self._done(call, decision, ToolResult(error=denied))
        invocation = ToolInvocation(
            call_id=call.id,
            arguments=call.arguments,
            decision=decision,
            ledger_key=ledger_key(self._run.manifest.root, index, call.tool),
            source=contract.import_digest,
            known=self._run.told_values(),
            grounds=self._grounds(contract, request),
        )
        return await self._run_allowed(_Allowed(call, contract, decision, invocation), index)

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

    def _decide(self, call: ToolCall, contract: ToolContract, place: str) -> Decision:
        """Ask the rules.

        Args:
            call: What the model asks for.
            contract: Its tool's.
            place: Names this decision within the run.

        Raises:
            RunDenied: they, or the tool's import, aren't those that the run was pinned to.
        """
        definition = self._run.definition
        pinned = self._run.manifest.rules
        if pinned and pinned.hash != definition.rules_name.hash and dispatch.rules_changed(place):
            raise RunDenied(
                f"the run is pinned to the rules {pinned.id}, and its worker has {definition.rules_name.id}"
            )
        imported = self._run.manifest.imported.get(call.tool)
        if imported and imported != contract.import_digest and dispatch.import_changed(place):
            raise RunDenied(f"the run is pinned to another import of {call.tool} than its worker has")
        with self._run.metrics.deciding(call.tool) as measured:
            rules = definition.rules
            decision = decide(rules.rules, self._context(call, contract), rules.policies)
            measured[semconv.DECISION_VERDICT] = decision.verdict
        return decision.model_copy(update={"rules": definition.rules_name.id})

    def _recorded(self, call: ToolCall, decision: Decision) -> Decision:
        attributes = {
            semconv.TOOL_NAME: call.tool,
            semconv.TOOL_CALL_ID: call.id,
            semconv.DECISION_RULE: decision.rule,
            semconv.DECISION_VERDICT: decision.verdict,
            semconv.RULES: decision.rules or "",
            semconv.LABELS: self._labels(call),
        }
        with workflow_span(f"{semconv.DECIDE} {call.tool}", attributes):
            # It takes no time of the run's; what it came to is what there is to see.
            pass
        self._run.record(
            DecisionRecord(
                subject="tool_call",
                accepted=decision.verdict == "allow",
                detail=decision.reason,
                at=workflow.now().isoformat(),
                tool=call.tool,
                tool_call_id=call.id,
                verdict=decision.verdict,
                rule=decision.rule,
                by=", ".join(decision.granted_by) or None,
            )
        )
        return decision

    def _labels(self, call: ToolCall) -> list[str]:
        """Where the arguments' values are from, for whoever records spans."""
        if not is_replay_safe():
            return []
        origins = self._run.provenance.origins(call.arguments, self._run.past_calls)
        return [f"{name}={label}" for name, label in origins.items()]

    def _context(self, call: ToolCall, contract: ToolContract) -> RuleContext:
        run = self._run
        return RuleContext(
            agent=run.definition.name,
            tool=contract,
            arguments=call.arguments,
            tier=run.manifest.tier,
            tenant=run.task.tenant,
            customer_tier=run.task.customer_tier,
            requested_by=run.task.requested_by,
            requester_verified=run.requester_proof is not None,
            task_input=run.task_input,
            model=", ".join(sorted(run.models_used)) or run.manifest.models[0].name,
            model_proven=run.model_proven,
            spend=run.purse.settled + run.purse.reserved,
            past_calls=run.past_calls,
            provenance=run.provenance,
            frozen=run.frozen,
        )

    def _asked(self, held: HeldCall, contract: ToolContract, asked: Decision) -> ApprovalRequest:
        """The approval that a call waits for: a new one, unless it waited before the run continued as new."""
        run, call = self._run, held.call
        if held.approval_id is not None:
            return run.people.approvals.request(held.approval_id)
        action = Action(call.tool, call.arguments, contract, call.id)
        deadline = workflow.now() + self._approval_timeout
        asking = Asking(asked.rule, asked.reason, asked.quorum or Quorum(), deadline)
        return waiting.open_approval(run, action, asking)

    def _may_let_go(self) -> bool:
        """Whether all that the run does is wait for people, and it should continue as new."""
        return self._under_way == self._waiting and self._continuation.is_due

    async def _ask_people(
        self, held: HeldCall, contract: ToolContract, asked: Decision, request: ApprovalRequest
    ) -> tuple[Decision, ToolProblem | None]:
        call = held.call
        self._waiting += 1
        try:
            outcome = await waiting.await_approval(self._run, request, self._may_let_go)
            if outcome is None:
                raise CallHeldError(held.model_copy(update={"approval_id": request.id}))
        finally:
            self._waiting -= 1
        if outcome.status != "approved":
            why = outcome.reason or "no reason given"
            who = f" by {', '.join(outcome.by)}" if outcome.status == "rejected" else ""
            return asked, ToolProblem(kind="rejected", message=f"{outcome.status}{who}: {why}")
        # Days may have passed and other calls been made: what a rule denies now stays denied.
        again = self._decide(call, contract, f"call-{held.index}-approved")
        if again.verdict == "deny":
            return self._recorded(call, again), None
        allowed = asked.model_copy(update={"verdict": "allow", "granted_by": outcome.by})
        return self._recorded(call, allowed), None

    async def _run_allowed(self, allowed: _Allowed, index: int) -> ToolResult:
        run, contract = self._run, allowed.contract
        spend = Spend(tool_calls=1, cost_usd=contract.options.cost_usd)
        name = f"tool-{index}"
        run.purse = run.purse.reserve(name, spend)
        rule = allowed.decision.rule
        run.enter("acting", f"{contract.name} ({rule})")
        try:
            summary, limit = f"rule {rule}", run.manifest.max_payload_bytes
            result = await dispatch.run_tool(run.calls, contract, allowed.invocation, summary, limit)
        except PayloadTooLargeError as error:
            problem = ToolProblem(kind="invalid_arguments", message=str(error))
            return self._done(allowed.call, allowed.decision, ToolResult(error=problem))
        except ActivityError as error:
            return await self._failed(allowed, error)
        except CancelledError:
            # The activity may have ended in the very workflow task that brought the cancellation.
            await self._cancelled(allowed, dispatch.Failure("Cancelled", "the run was cancelled", None, True))
            raise
        finally:
            # A call that failed may have been charged for by the outside system.
            run.purse = run.purse.settle(name, spend)
        done = await self._answered(allowed, result.model_copy(update={"stored": True}))
        dispatch.heed_cancellation()
        return done

    async def _answered(self, allowed: _Allowed, result: ToolResult) -> ToolResult:
        """The activity came to an end of its own."""
        if allowed.contract.effect == "read":
            return self._done(allowed.call, allowed.decision, result)
        if result.error is None or result.error.kind != "invalid_output":
            effect = "failed" if result.error else "done"
            return self._done(allowed.call, allowed.decision, result, effect)
        return await self._concluded(allowed, EffectReport(state="done", result=result))

    async def _failed(self, allowed: _Allowed, error: ActivityError) -> ToolResult:
        """The activity gave up, or was cancelled."""
        call, decision, failure = allowed.call, allowed.decision, dispatch.failure_of(error)
        if failure.kind == FORBIDDEN_NOW_ERROR:
            record_forbidden(self._run, call, failure)
        if allowed.contract.effect == "read":
            if is_cancelled_exception(error):
                raise error
            dispatch.heed_cancellation()
            taken_over = await self._taken_over(f"{call.tool} failed: {failure.message}")
            return self._done(call, decision, taken_over)
        if is_cancelled_exception(error) or dispatch.is_cancelling():
            await self._cancelled(allowed, failure)
            raise CancelledError
        report = await self._failed_write(allowed).look_up(failure)
        if report.state == "failed" and report.result is None:
            failed = "is forbidden now" if failure.kind == FORBIDDEN_NOW_ERROR else "failed"
            reason = f"{call.tool} {failed}, and did not happen ({report.detail}): {failure.message}"
            return self._done(call, decision, await self._taken_over(reason), "failed")
        return await self._concluded(allowed, report)

    async def _concluded(self, allowed: _Allowed, report: EffectReport) -> ToolResult:
        """People are asked until the end of a write is known."""
        try:
            known = await self._failed_write(allowed).conclude(report)
        except (RunStopped, CancelledError):
            self._done(allowed.call, allowed.decision, _result_of(report), report.state)
            raise
        return self._done(allowed.call, allowed.decision, _result_of(known), known.state)

    async def _cancelled(self, allowed: _Allowed, failure: dispatch.Failure) -> None:
        """Nobody can be asked any more: what is known of a write goes into the outcome."""
        if allowed.contract.effect != "read":
            report = await self._failed_write(allowed).look_up(failure)
            self._done(allowed.call, allowed.decision, _result_of(report), report.state)

    def _failed_write(self, allowed: _Allowed) -> FailedWrite:
        return FailedWrite(self._run, allowed.contract, allowed.invocation, self._escalation_timeout)

    async def _taken_over(self, reason: str) -> ToolResult:
        """A person says what to do, and the model is told."""
        resolution = await waiting.escalate(self._run, reason, self._escalation_timeout)
        message = f"{reason}. {resolution.by} says: {resolution.text}"
        return ToolResult(error=ToolProblem(kind="failed", message=message))

    def _done(
        self,
        call: ToolCall,
        decision: Decision | None,
        result: ToolResult,
        effect: Literal["done", "failed", "unknown"] | None = None,
    ) -> ToolResult:
        run = self._run
        error = result.error
        if error is None:
            run.remember(PastCall(call.id, call.tool, call.arguments, result.output))
        summary = ToolCallSummary(
            tool_call_id=call.id,
            tool=call.tool,
            arguments=call.arguments,
            rule=decision.rule if decision else None,
            approved_by=decision.granted_by if decision else (),
            error=f"{error.kind}: {error.message}"[:2_000] if error else None,
            effect=effect,
        )
        run.summaries = (*run.summaries, summary)
        kind = error.kind if error else None
        # A name that the model made up may be anything.
        tool = call.tool if kind != "unknown_tool" else None
        run.log.debug("tool call ended", turn=run.turn, tool=tool, error_kind=kind)
        return result.model_copy(update={"call_id": call.id})


def _result_of(report: EffectReport) -> ToolResult:
    """What the model is told of a write, and the outcome says of it."""
    if report.result is not None:
        return report.result
    known = report.detail or "nothing more is known"
    message = f"it may or may not have happened: {known}" if report.state == "unknown" else known
    return ToolResult(error=ToolProblem(kind="failed", message=message))
