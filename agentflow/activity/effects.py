"""A write happens effectively once: what an attempt does with the ledger before and after it calls the tool.

``core.effects`` says what a record means. The order here is what makes it hold: the intent is recorded
before the tool is called, the end before Temporal hears of it; and whoever finds an intent without an end
does not call the tool before it is known that the one before had no effect. Between the intent and the call
each attempt asks whether the call is still permitted: in this order, whoever forbids it and then looks for
intents misses none.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import assert_never

from agentflow.activity.attempt import Attempt
from agentflow.activity.calling import ToolCaller
from agentflow.activity.failures import NotBegunError, is_final
from agentflow.activity.hold import to_the_end
from agentflow.activity.in_the_way import own_place, place_taken
from agentflow.activity.ledger_calls import LedgerCalls
from agentflow.activity.outliving import Keepers
from agentflow.activity.permits import Permits, permitted
from agentflow.contracts.effects import EffectClosing, EffectRecord, EffectReport
from agentflow.contracts.tools import ToolInvocation, ToolResult
from agentflow.core import effects
from agentflow.core.record_seals import Unsealed
from agentflow.errors import (
    EffectBusyError,
    EffectUnknownError,
)
from agentflow.telemetry import metrics


@dataclass(frozen=True)
class EffectOnce:
    """The writes of one tool."""

    caller: ToolCaller
    ledger: LedgerCalls
    permits: Permits = permitted
    keepers: Keepers = field(default_factory=Keepers)

    async def carry_out(self, invocation: ToolInvocation) -> ToolResult:
        """Carry a call out, unless an earlier attempt did.

        Raises:
            EffectBusyError: an earlier attempt may still be at it; try again when it says.
            EffectUnknownError: it may have happened, and only a person can tell; or the record is none of a
                worker's.
            EarlierEffectError: an earlier run of the workflow id did it, or this run something else in its
                place; this attempt did not call the tool.
            ForbiddenNowError: it is forbidden by now; this attempt did not call the tool.
            LedgerError: the ledger can't be used; the tool was not called.
        """
        attempt = self._attempt(invocation)
        try:
            return await self._carried_out(attempt, invocation)
        except EffectUnknownError as error:
            if error.attempts is None:
                error.attempts = attempt.hold.record.attempts
            raise
        except Exception as error:
            did_nothing = attempt.has_withdrawn or not (attempt.has_record or is_final(error))
            if not did_nothing or isinstance(error, EffectBusyError):
                raise
            # Temporal's next attempt, which would find no record, could not tell that this one did nothing.
            raise NotBegunError(error, is_on_record=attempt.has_record) from error

    async def _carried_out(self, attempt: Attempt, invocation: ToolInvocation) -> ToolResult:
        # To the end, so that a worker which is shut down now leaves a record that says that nothing was done.
        traces = await to_the_end(attempt.traces_missing())
        if invocation.work and invocation.work.counts:
            return await attempt.count(invocation.work.counts)
        found = await to_the_end(attempt.hold.begin(attempt.first_record(traces)))
        attempt.has_record = True
        if found is None:
            if traces is None:
                return await attempt.call(is_first=True)
            raise await attempt.without_traces(traces)
        if isinstance(found, Unsealed):
            raise await attempt.disbelieve(found)
        match effects.examine(found, attempt.hold.record):
            case effects.Ended(record):
                return self.caller.recorded(record)
            case effects.Busy(wait):
                raise attempt.busy(wait)
            case effects.Doubtful(detail):
                metrics.effect_unknown(self.caller.contract.name)
                unknown = EffectUnknownError(detail)
                unknown.attempts = found.record.attempts
                raise unknown
            case effects.Abandoned() as abandoned:
                return await attempt.resume(found, abandoned, traces)
            case effects.Taken():
                raise await place_taken(attempt.hold, found)
            case _ as never:  # pyright: ignore[reportUnnecessaryComparison]
                assert_never(never)

    async def reconcile(self, invocation: ToolInvocation, *, may_probe: bool = True) -> EffectReport:
        """Find out what became of a call whose activity failed. The tool is not called again, nor later.

        Args:
            invocation: The call.
            may_probe: Whether the outside system may be asked; a person is, otherwise.

        Raises:
            EffectBusyError: an attempt may still be at it; try again when it says.
            LedgerError: the ledger can't be used.
        """
        attempt = self._attempt(invocation, is_inquiry=True)
        traces = await attempt.traces_missing()
        # A worker that was thought dead may only now come to begin: it must find that it is too late.
        never = effects.given_up(attempt.hold.record, "never began")
        found = await attempt.hold.begin(attempt.first_record(traces) if traces else never)
        if found is None:
            if traces is not None:
                raise await attempt.without_traces(traces)
            return self._report(attempt.hold.record)
        if isinstance(found, Unsealed):
            await attempt.disbelieve(found)
            return self._report(attempt.hold.record)
        match effects.examine(found, attempt.hold.record):
            case effects.Ended(record):
                return self._report(record)
            case effects.Busy(wait):
                raise attempt.busy(wait)
            case effects.Doubtful():
                return self._report(found.record)
            case effects.Abandoned():
                return self._report(await attempt.settle(found, traces, may_probe=may_probe))
            case effects.Taken():
                return await self._beside(attempt, invocation, partial(self.reconcile, may_probe=may_probe))
            case _ as never:  # pyright: ignore[reportUnnecessaryComparison]
                assert_never(never)

    async def close(self, invocation: ToolInvocation, closing: EffectClosing) -> EffectReport:
        """Record what a person says happened. An end that is on record already stands, whatever they say.

        Raises:
            EffectBusyError: an attempt is at it, and not only what one began; try again when it says.
            LedgerError: the ledger can't be used.
        """
        attempt = self._attempt(invocation, is_inquiry=True)
        await attempt.traces_missing()
        result = effects.result_of(closing)
        if closing.verdict == "happened":
            result = self.caller.told(closing.output)
        text = None if result is None else result.model_dump_json()
        found = await attempt.hold.begin(effects.closed(attempt.hold.record, closing, text))
        if found is None:
            return self._report(attempt.hold.record)
        if isinstance(found, Unsealed):
            # Of the call itself we know by what its run sealed, of how it ended by the person.
            await attempt.hold.take(found.stored, effects.closed(attempt.hold.record, closing, text))
            return self._report(attempt.hold.record)
        match effects.examine(found, attempt.hold.record):
            case effects.Ended(record):
                return self._report(record)
            case effects.Busy(wait) if not effects.is_outlived(found.record):
                raise attempt.busy(wait)
            case effects.Busy() | effects.Doubtful() | effects.Abandoned():
                # What outlives its attempt may never end: a person may speak before.
                ours = found.record.model_copy(update={"owner": attempt.hold.record.owner})
                await attempt.hold.take(found, effects.closed(ours, closing, text))
                return self._report(attempt.hold.record)
            case effects.Taken():
                return await self._beside(attempt, invocation, partial(self.close, closing=closing))
            case _ as never:  # pyright: ignore[reportUnnecessaryComparison]
                assert_never(never)

    async def _beside(
        self,
        attempt: Attempt,
        invocation: ToolInvocation,
        go_on: Callable[[ToolInvocation], Awaitable[EffectReport]],
    ) -> EffectReport:
        """What became of a call whose place is taken by another one: it was made beside that, or never."""
        place = await own_place(attempt.hold)
        if place is None:
            # Each attempt finds the same, so that none has begun; whatever a person says.
            return EffectReport(state="failed", detail=effects.NEVER_BEGAN)
        return await go_on(invocation.model_copy(update={"ledger_key": place}))

    def _attempt(self, invocation: ToolInvocation, *, is_inquiry: bool = False) -> Attempt:
        parts = (self.caller, self.ledger, self.permits, self.keepers)
        return Attempt(*parts, invocation, is_inquiry=is_inquiry)

    def _report(self, record: EffectRecord) -> EffectReport:
        detail, attempts = record.detail, record.attempts
        if record.state in ("intended", "unknown"):
            return EffectReport(state="unknown", detail=detail, attempts=attempts)
        state = "done" if record.state == "done" else "failed"
        result = None if effects.was_given_up(record) else self.caller.recorded(record)
        return EffectReport(state=state, result=result, detail=detail, attempts=attempts)
