"""A write whose activity failed: what became of it, by the ledger, by the tool's probe, or by a person."""

from asyncio import CancelledError
from collections.abc import Awaitable
from datetime import timedelta
from typing import Protocol

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from agentflow.contracts.effects import EarlierEffect, EffectClosing, EffectInquiry, EffectReport
from agentflow.contracts.escalation import EffectInDoubt, Resolution
from agentflow.contracts.ledger import LedgerPin
from agentflow.contracts.messages import ToolCall
from agentflow.contracts.names import EFFECT_UNKNOWN_ERROR
from agentflow.contracts.rules import DecisionRecord, Quorum
from agentflow.contracts.tools import ToolContract, ToolInvocation
from agentflow.contracts.wire import Sha256
from agentflow.core.effects import NEVER_BEGAN, result_of
from agentflow.errors import BudgetExhausted
from agentflow.workflow import dispatch, waiting
from agentflow.workflow.escalations import Doubt
from agentflow.workflow.failures import Failure, failure_of
from agentflow.workflow.run import Run
from agentflow.workflow.sealed_calls import CallNames
from agentflow.workflow.tool_charges import Charges

_BRIEFLY = timedelta(seconds=15)
FORBIDDEN_NOW_RULE = "forbidden_now"
"""Stands as the rule in the record of a call that was allowed, and forbidden by the time it would act."""


def record_forbidden(run: Run, call: ToolCall, failure: Failure) -> None:
    """Rules or people allowed a call; by the time it would have been made, it was forbidden."""
    run.record(
        DecisionRecord(
            subject="tool_call",
            accepted=False,
            detail=failure.message[:2_000],
            at=workflow.now().isoformat(),
            tool=call.tool,
            tool_call_id=call.id,
            verdict="deny",
            rule=FORBIDDEN_NOW_RULE,
        )
    )


async def pin_of(run: Run, contract: ToolContract, within: timedelta | None = None) -> LedgerPin:
    """The ledger that the writes of a tool's task queue are recorded in.

    The first write of the queue asks; what an earlier execution of the run was pinned to counts.

    Raises:
        ActivityError: nobody can say; nothing was done.
    """
    queue = contract.options.task_queue
    pin = run.effects.ledger_of(queue)
    if pin is None:
        identity = await dispatch.identify_ledger(run.calls, contract, run.manifest.chain, within)
        pin = run.effects.pin(queue, identity.id)
    return pin


class _Time:
    """Time that is cut short once the run is cancelled: whoever cancelled it waits for its end."""

    def __init__(self, longest: timedelta) -> None:
        self._end = workflow.now() + longest
        self._was_cut = False
        self.is_cut()

    @property
    def left(self) -> timedelta:
        """At least a second."""
        return max(self._end - workflow.now(), timedelta(seconds=1))

    def is_cut(self) -> bool:
        """Cut it if the run was cancelled since it was looked at last."""
        if self._was_cut or not dispatch.is_cancelling():
            return False
        self._was_cut = True
        self._end = min(self._end, workflow.now() + dispatch.OUTAGE)
        return True


class _Asking(Protocol):
    """Asks a worker what became of a write."""

    def __call__(
        self, calls: CallNames, contract: ToolContract, inquiry: EffectInquiry, *, within: timedelta
    ) -> Awaitable[EffectReport]: ...


class FailedWrite:
    """One write that Temporal gave up, or whose result can't be used."""

    def __init__(self, run: Run, contract: ToolContract, invocation: ToolInvocation) -> None:
        self._run = run
        self._contract = contract
        self._invocation = invocation

    async def look_up(
        self, failure: Failure, *, never_began: bool = False, briefly: bool = False
    ) -> EffectReport:
        """What the ledger and the tool's probe know. The call does not begin after this.

        Args:
            failure: Of the call.
            never_began: Whether it is certain without them that it did not: then they are told, if they can
                be reached.
            briefly: Whether they were asked in vain already.
        """
        if failure.kind == EFFECT_UNKNOWN_ERROR:
            # The attempt has asked them already.
            return EffectReport(state="unknown", detail=failure.message, attempts=failure.calls or 0)
        try:
            return await self._once_free(self._ask_probe, briefly=briefly)
        except ActivityError as error:
            if never_began:
                return EffectReport(state="failed", detail=NEVER_BEGAN)
            why = failure_of(error).message
            detail = f"{failure.message}; and it could not be found out whether it happened: {why}"
            return EffectReport(state="unknown", detail=detail)

    async def ask_about(self, earlier: EarlierEffect, known: str) -> Resolution:
        """Let people say whether an earlier run's effect counts for this call's: ``count`` or ``again``.

        Raises:
            RunEscalated: a person aborted, or the deadline passed.
        """
        reason = f"{self._contract.name} was not made: {known}"
        resolution = await waiting.ask_what_happened(self._run, reason, self._about(reason, None, earlier))
        if resolution.action == "abort":
            raise waiting.aborted(reason, resolution)
        return resolution

    async def count(self, earlier: EarlierEffect, resolution: Resolution) -> EffectReport:
        """Put on record that an earlier run's effect in doubt counts for this call's, and what came of it.

        Answers ``unknown`` where that could not be recorded.
        """
        before = EffectReport(
            state="unknown", detail=f"run {earlier.chain} may have done it (key {earlier.key})"
        )
        return await self._close(_closing(resolution, earlier.key), before)

    async def conclude(self, report: EffectReport) -> EffectReport:
        """Ask people until it is known what became of the call, and its result can be used.

        If the run was cancelled while their word was recorded, nobody is asked again.

        Raises:
            RunEscalated: a person aborted, or the deadline passed.
        """
        while report.state == "unknown" or _is_unusable(report):
            reason = self._reason(report)
            resolution = await waiting.ask_what_happened(self._run, reason, self._doubt(report))
            if _is_unusable(report) and resolution.action != "abort":
                # The ledger has its end already; what the person adds is in history.
                return _told(resolution, report)
            if not _is_unusable(report):
                report = await self._close(_closing(resolution), report)
            if resolution.action == "abort":
                raise waiting.aborted(reason, resolution)
            if dispatch.is_cancelling():
                break
        return report

    async def _close(self, closing: EffectClosing, report: EffectReport) -> EffectReport:
        try:
            return await self._once_free(dispatch.close_effect, closing)
        except ActivityError as error:
            why = failure_of(error).message
            detail = f"{report.detail}; {closing.by}'s word could not be recorded: {why}"
            return report.model_copy(update={"detail": detail[-4_000:]})

    async def _once_free(
        self, ask: _Asking, closing: EffectClosing | None = None, *, briefly: bool = False
    ) -> EffectReport:
        """Ask a worker about the call, and wait as long as an attempt at it may still have its effect.

        A run that is cancelled meanwhile asks once more, and not for long; whoever asks looks for that then.

        Args:
            ask: The activity.
            closing: A person's word.
            briefly: Whether one question should not take as long as the wait may.

        Raises:
            ActivityError: nobody can be asked, or an attempt is at it for longer than one may take.
        """
        options = self._contract.options
        # And then there is some time for outages.
        time = _Time(options.start_to_close_timeout + options.max_effect_delay + dispatch.OUTAGE)
        while True:
            left = min(time.left, _BRIEFLY) if briefly else time.left
            try:
                await self._pin(left)
                return await ask(self._run.calls, self._contract, self._inquiry(closing), within=left)
            except ActivityError as error:
                if is_cancelled_exception(error) and time.is_cut():
                    continue
                wait = failure_of(error).wait
                if wait is None or wait >= time.left:
                    raise
            try:
                await workflow.sleep(wait, summary=f"until {self._contract.name} is free")
            except CancelledError:
                time.is_cut()

    async def _ask_probe(
        self, calls: CallNames, contract: ToolContract, inquiry: EffectInquiry, *, within: timedelta
    ) -> EffectReport:
        """Ask the ledger what became of the call, and its probe as often as the budget covers."""
        if not contract.probe_cost_usd:
            return await dispatch.reconcile_effect(calls, contract, inquiry, within=within)
        charges = Charges(self._run, contract, f"probe-{inquiry.invocation.ledger_key}", counts=False)
        try:
            covered = charges.reserve_inquiry(contract.options.retry.max_attempts)
        except BudgetExhausted as broke:
            self._run.note("check", False, f"the probe was not asked: {broke}")
            silent = inquiry.model_copy(update={"may_probe": False})
            return await dispatch.reconcile_effect(calls, contract, silent, within=within)
        billed = None
        try:
            report = await dispatch.reconcile_effect(
                calls, contract, inquiry, within=within, attempts=covered
            )
            billed = report.billed
        except ActivityError as error:
            billed = failure_of(error).billed
            raise
        finally:
            charges.settle(billed)
        return report

    async def _pin(self, within: timedelta) -> None:
        """Ask no other ledger than the run's.

        Raises:
            ActivityError: nobody can say which that is.
        """
        work = self._invocation.work
        if work is not None and work.ledger is None:
            pin = await pin_of(self._run, self._contract, within)
            pinned = work.model_copy(update={"ledger": pin.id, "after": pin.last})
            self._invocation = self._invocation.model_copy(update={"work": pinned})

    def _inquiry(self, closing: EffectClosing | None = None) -> EffectInquiry:
        return EffectInquiry(tool=self._contract.name, invocation=self._invocation, closing=closing)

    def _reason(self, report: EffectReport) -> str:
        name = self._contract.name
        if report.result is not None and report.result.error is not None:
            return f"{name} was carried out, but {report.result.error.message}"
        return f"{name} may or may not have happened: {report.detail}"

    def _doubt(self, report: EffectReport) -> Doubt:
        return self._about(self._reason(report), report.attempts or None)

    def _about(self, detail: str, attempts: int | None, earlier: EarlierEffect | None = None) -> Doubt:
        effect = EffectInDoubt(
            key=self._invocation.ledger_key,
            tool=self._contract.name,
            tool_call_id=self._invocation.call_id,
            arguments=self._invocation.arguments,
            detail=detail,
            attempts=attempts,
            earlier=earlier,
        )
        output_check = self._run.definition.catalog.output_checks[self._contract.name]
        return Doubt(effect, output_check, self._invocation.decision.quorum or Quorum())


def _is_unusable(report: EffectReport) -> bool:
    """It happened, and nobody can say what came of it."""
    return report.state == "done" and report.result is not None and report.result.error is not None


def _told(resolution: Resolution, before: EffectReport) -> EffectReport:
    """What came of an effect whose own result can't be used; whose effect it is stays as it was."""
    state = "done" if resolution.action == "happened" else "failed"
    result = result_of(_closing(resolution))
    if result is not None and before.result is not None:
        result = result.model_copy(update={"counted": before.result.counted})
    return EffectReport(state=state, result=result)


def _closing(resolution: Resolution, counts: Sha256 | None = None) -> EffectClosing:
    verdict = "happened" if resolution.action == "count" else resolution.action
    assert verdict in ("happened", "did_not_happen", "abort")  # judge_resolution refuses the others
    return EffectClosing(
        verdict=verdict,
        by=resolution.by,
        text=resolution.text[:2_000],
        output=resolution.result,
        counts=counts,
    )
