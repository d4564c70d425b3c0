"""What becomes of a tool call that rules or people have allowed: budget, activity, and how it ended."""

from asyncio import CancelledError
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from agentflow.contracts.effects import EarlierEffect, EffectReport
from agentflow.contracts.escalation import Resolution
from agentflow.contracts.messages import ToolCall
from agentflow.contracts.names import FORBIDDEN_NOW_ERROR
from agentflow.contracts.outcome import ToolCallSummary
from agentflow.contracts.rules import Decision
from agentflow.contracts.tools import ONE_CALL, ToolResult
from agentflow.contracts.tools import ToolError as ToolProblem
from agentflow.core.idempotency import key_beside
from agentflow.core.provenance import PastCall
from agentflow.errors import BudgetExhausted, PayloadTooLargeError, RunStopped
from agentflow.workflow import dispatch, waiting
from agentflow.workflow.course import Allowed, Course
from agentflow.workflow.deciding import Deciding
from agentflow.workflow.effects import FailedWrite, pin_of, record_forbidden
from agentflow.workflow.failures import Failure, failure_of
from agentflow.workflow.run import Run
from agentflow.workflow.tool_charges import NOTHING, Charges

_LEAST_LEFT = timedelta(seconds=1)


@dataclass(frozen=True)
class EarlierFound:
    """An activity did nothing, since an earlier write stands in the way: of another run, or in its place."""

    effect: EarlierEffect
    failure: Failure


class Carrying:
    """Carries out the calls of one run that are allowed."""

    def __init__(self, run: Run, deciding: Deciding) -> None:
        self._run = run
        self._deciding = deciding

    async def carry_out(self, allowed: Allowed) -> ToolResult:
        """Run the tool's activity, and ask people about what it leaves open.

        Raises:
            BudgetExhausted: the call doesn't fit what is left.
            RunEscalated: it failed or its effect is unknown, and a person aborted or the deadline passed.
        """
        run, contract = self._run, allowed.contract
        attempts = contract.options.retry.max_attempts
        course = Course(allowed, workflow.now(), attempts, attempts)
        charges = Charges(run, contract, f"tool-{allowed.index}")
        covered = charges.reserve(attempts, is_fresh=self._is_fresh(course))
        rule = allowed.decision.rule
        run.enter("acting", f"{contract.name} ({rule})")
        try:
            came = await self._run_tool(course, charges, covered, f"rule {rule}")
        except PayloadTooLargeError as error:
            problem = ToolProblem(kind="invalid_arguments", message=str(error))
            return self.done(allowed.call, allowed.decision, ToolResult(error=problem))
        except ActivityError as error:
            # People may be asked for days: what no activity needs any more is free by then.
            charges.settle(NOTHING)
            return await self._failed(course, error)
        except CancelledError:
            # The activity may have ended in the very workflow task that brought the cancellation.
            cancelled = Failure("Cancelled", "the run was cancelled", None, True, may_have_begun=True)
            await self._cancelled(course, cancelled)
            raise
        finally:
            # Where no activity of it is under way, none was scheduled that is not settled.
            charges.settle(NOTHING)
        if isinstance(came, EarlierFound):
            return await self._after_an_earlier(course.allowed, came)
        done = await self._answered(course.allowed, came.model_copy(update={"stored": True}))
        dispatch.heed_cancellation()
        return done

    async def _run_tool(
        self, course: Course, charges: Charges, covered: int, summary: str
    ) -> ToolResult | EarlierFound:
        """Run the tool's activity, and again if an attempt was kept from acting.

        An attempt that finds another's lease has done nothing, and uses up none of the tool's attempts: the
        run waits. That a worker died says nothing of the tool: the next attempt finds out whether a repeat is
        safe. One that could not begin, as its ledger can't be used or isn't the run's, is followed by a new
        activity: Temporal's own next attempt could not tell that it did nothing.

        Args:
            course: Of the call.
            charges: Of the call; what the first activity may cost is reserved.
            covered: How many attempts of that are.
            summary: Shown in the Web UI.

        Raises:
            ActivityError: it failed for good, or the budget covers no further attempt.
        """
        contract = course.allowed.contract
        longest = contract.options.schedule_to_close_timeout
        deadline = course.since + longest if longest else None
        await self._find_ledger(course)
        while True:
            # The ledger may have been waited for, and no worker been there.
            left = max(deadline - workflow.now(), _LEAST_LEFT) if deadline else None
            try:
                result = await self._paid(course, charges, covered, summary, left)
            except ActivityError as error:
                failure = failure_of(error)
                if is_cancelled_exception(error) or dispatch.is_cancelling():
                    raise
                if failure.earlier is not None:
                    return EarlierFound(failure.earlier, failure)
                wait = course.after(failure)
                if wait is None or (deadline is not None and workflow.now() + wait >= deadline):
                    raise
                if wait:
                    await workflow.sleep(wait, summary=f"until {contract.name} may be tried again")
                try:
                    covered = charges.reserve(course.attempts_left, is_fresh=self._is_fresh(course))
                except BudgetExhausted as broke:
                    self._run.note("check", False, f"not tried again: {broke}")
                    raise error from None
            else:
                if contract.effect != "read":
                    self._run.effects.recorded(
                        contract.options.task_queue, course.allowed.invocation.ledger_key
                    )
                return result

    async def _paid(
        self, course: Course, charges: Charges, covered: int, summary: str, left: timedelta | None
    ) -> ToolResult:
        """One activity of the tool, whose attempts are reserved for; it is charged however it ends.

        Raises:
            ActivityError: it failed, after the attempts that are covered.
            PayloadTooLargeError: the arguments are too big for Temporal; nothing was scheduled.
        """
        contract, limit = course.allowed.contract, self._run.manifest.max_payload_bytes
        course.was_sent = True
        billed, counts = None, True
        try:
            result = await dispatch.run_tool(
                self._run.calls,
                contract,
                course.allowed.invocation,
                summary,
                limit,
                within=left,
                attempts=covered,
                elsewhere=course.was_refused,
            )
            billed = result.billed
        except PayloadTooLargeError:
            billed = NOTHING
            raise
        except ActivityError as error:
            failure = failure_of(error)
            billed, counts = failure.billed, failure.earlier is None
            raise
        finally:
            charges.settle(billed, counts=counts)
        return result.model_copy(update={"billed": ONE_CALL})

    def _is_fresh(self, course: Course) -> bool:
        """Whether no attempt at the call, of any execution, can have left anything to ask about."""
        work = course.allowed.invocation.work
        return self._run.lineage.knows_all and not course.was_sent and (work is None or work.begun is None)

    async def _find_ledger(self, course: Course) -> None:
        """Name the ledger that a write must be recorded in: the one that the first write of its queue found.

        Raises:
            ActivityError: none can be reached; nothing was done.
        """
        if course.allowed.contract.effect != "read":
            pin = await pin_of(self._run, course.allowed.contract)
            course.allowed = course.allowed.knowing(
                ledger=pin.id, after=pin.last, execution=workflow.info().run_id
            )

    async def _answered(self, allowed: Allowed, result: ToolResult) -> ToolResult:
        """The activity came to an end of its own."""
        if allowed.contract.effect == "read":
            return self.done(allowed.call, allowed.decision, result)
        if result.error is None or result.error.kind != "invalid_output":
            return self._ended(allowed, result, "failed" if result.error else "done")
        return await self._concluded(allowed, EffectReport(state="done", result=result))

    async def _failed(self, course: Course, error: ActivityError) -> ToolResult:
        """The activity gave up, or was cancelled."""
        failure = failure_of(error)
        course.heed(failure)
        allowed = course.allowed
        call, decision = allowed.call, allowed.decision
        if failure.kind == FORBIDDEN_NOW_ERROR:
            record_forbidden(self._run, call, failure)
        if allowed.contract.effect == "read":
            if is_cancelled_exception(error):
                raise error
            dispatch.heed_cancellation()
            taken_over = await self.taken_over(f"{call.tool} failed: {failure.message}")
            return self.done(call, decision, taken_over)
        if is_cancelled_exception(error) or dispatch.is_cancelling():
            await self._cancelled(course, failure)
            raise CancelledError
        report = await self._looked_up(course, failure)
        if dispatch.is_cancelling():
            self._ended(allowed, _result_of(report), report.state)
            raise CancelledError
        if report.state == "failed" and report.result is None:
            failed = "is forbidden now" if failure.kind == FORBIDDEN_NOW_ERROR else "failed"
            reason = f"{call.tool} {failed}, and did not happen ({report.detail}): {failure.message}"
            return self.done(call, decision, await self.taken_over(reason), "failed")
        return await self._concluded(allowed, report)

    async def _concluded(self, allowed: Allowed, report: EffectReport) -> ToolResult:
        """People are asked until the end of a write is known."""
        try:
            known = await self._failed_write(allowed).conclude(report)
        except (RunStopped, CancelledError):
            self._ended(allowed, _result_of(report), report.state)
            raise
        ended = self._ended(allowed, _result_of(known), known.state)
        dispatch.heed_cancellation()
        return ended

    async def _after_an_earlier(self, allowed: Allowed, found: EarlierFound) -> ToolResult:
        """An earlier write stands in the way of this one, which did nothing."""
        run, write, contract = self._run, self._failed_write(allowed), allowed.contract
        earlier, failure = found.effect, found.failure
        is_other, means = earlier.other_arguments, run.manifest.earlier_effects
        if means == "count" and earlier.state == "done" and not is_other:
            return await self._counting(allowed, earlier)
        if is_other and (means == "again" or earlier.lets_by):
            return await self._again(allowed, earlier)
        try:
            resolution = await write.ask_about(earlier, failure.message)
        except (RunStopped, CancelledError):
            # It is on record that it will not begin.
            report = await write.look_up(failure, never_began=self._never_began(allowed, failure))
            self._ended(allowed, _result_of(report), report.state)
            raise
        if resolution.action == "again":
            # Days may have passed: what a rule denies now stays denied.
            again = await self._deciding.decide(allowed.call, contract)
            if again.verdict == "deny":
                await write.look_up(failure)
                dispatch.heed_cancellation()
                return self.denied(allowed.call, self._deciding.recorded(allowed.call, again))
            return await self._again(allowed, earlier)
        if earlier.state == "done":
            return await self._counting(allowed, earlier)
        return await self._counted(allowed, found, resolution)

    async def _counted(self, allowed: Allowed, found: EarlierFound, resolution: Resolution) -> ToolResult:
        """An earlier run's effect in doubt counts for this call's, by a person's word."""
        earlier, failure = found.effect, found.failure
        self._run.effects.add(allowed.work.id, earlier.key)
        report = await self._failed_write(allowed).count(earlier, resolution)
        if report.state == "unknown" and not dispatch.is_cancelling():
            # Nobody's word is on record: it is asked for again.
            return await self._after_an_earlier(
                allowed, replace(found, failure=replace(failure, message=report.detail))
            )
        said = f"run {earlier.chain} did it, says {resolution.by} (key {earlier.key})"
        result = _result_of(report)
        if report.state != "unknown":
            result = result.model_copy(update={"counted": said})
        ended = self._ended(allowed, result, report.state)
        dispatch.heed_cancellation()
        return ended

    async def _again(self, allowed: Allowed, earlier: EarlierEffect) -> ToolResult:
        """The effect of an earlier run, or another one in the call's place, is no reason not to act."""
        work = allowed.work
        self._run.effects.add(work.id, earlier.key)
        if earlier.other_arguments:
            allowed = allowed.under(key_beside(earlier.key))
        return await self.carry_out(allowed.knowing(beside=self._run.effects.of_work(work.id)))

    async def _counting(self, allowed: Allowed, earlier: EarlierEffect) -> ToolResult:
        """An earlier run's effect stands for this call's, with the result that is on record."""
        self._run.effects.add(allowed.work.id, earlier.key)
        return await self.carry_out(allowed.knowing(counts=earlier.key))

    async def _cancelled(self, course: Course, failure: Failure) -> None:
        """Nobody can be asked any more: what is known of a write goes into the outcome."""
        course.heed(failure)
        allowed = course.allowed
        if allowed.contract.effect != "read":
            report = await self._looked_up(course, failure)
            self._ended(allowed, _result_of(report), report.state)

    async def _looked_up(self, course: Course, failure: Failure) -> EffectReport:
        """What became of a call whose activity failed. It does not begin after this."""
        allowed = course.allowed
        knows_all = self._run.lineage.knows_all
        never_began = self._never_began(allowed, failure) if course.was_sent else knows_all
        # A ledger that kept it from beginning has been tried as often as the tool is.
        briefly = failure.not_begun or not course.was_sent
        report = await self._failed_write(allowed).look_up(failure, never_began=never_began, briefly=briefly)
        if never_began:
            # A ledger that could not be reached may have a record of it all the same.
            self._run.effects.add(allowed.work.id, allowed.invocation.ledger_key)
        return report

    def _never_began(self, allowed: Allowed, failure: Failure) -> bool:
        """Whether it is certain, whatever the ledger says, that no attempt at a call has begun."""
        return self._run.lineage.knows_all and allowed.work.begun is None and not failure.may_have_begun

    def _failed_write(self, allowed: Allowed) -> FailedWrite:
        return FailedWrite(self._run, allowed.contract, allowed.invocation)

    async def taken_over(self, reason: str) -> ToolResult:
        """A person says what to do, and the model is told."""
        resolution = await waiting.escalate(self._run, reason)
        message = f"{reason}. {resolution.by} says: {resolution.text}"
        return ToolResult(error=ToolProblem(kind="failed", message=message))

    def _ended(
        self, allowed: Allowed, result: ToolResult, effect: Literal["done", "failed", "unknown"]
    ) -> ToolResult:
        """A write ended, or counts as one that did."""
        if effect != "failed":
            self._run.effects.add(allowed.work.id, allowed.invocation.ledger_key)
        ended = "counted" if effect == "done" and result.counted is not None else effect
        return self.done(allowed.call, allowed.decision, result, ended)

    def denied(self, call: ToolCall, decision: Decision) -> ToolResult:
        """A call that a rule denied, as the model is told of it."""
        denied = ToolProblem(kind="denied", message=f"rule {decision.rule}: {decision.reason}")
        return self.done(call, decision, ToolResult(error=denied))

    def done(
        self,
        call: ToolCall,
        decision: Decision | None,
        result: ToolResult,
        effect: Literal["done", "failed", "unknown", "counted"] | None = None,
    ) -> ToolResult:
        """A call has ended, and the outcome says so.

        Args:
            call: As the model asked for it.
            decision: On it, if there was one.
            result: What the model is told.
            effect: Of a write that was allowed: whether it happened.
        """
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
            counted=result.counted,
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
