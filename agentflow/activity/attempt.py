"""One attempt of a write: its record before and after the tool is called, and what it leaves to the next."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import structlog
from temporalio import activity

from agentflow.activity.calling import ToolCaller
from agentflow.activity.hold import MAX_LEASE, Hold, heed_cancellation, to_the_end
from agentflow.activity.in_the_way import very_same
from agentflow.activity.ledger_calls import LedgerCalls
from agentflow.activity.outliving import MAX_PATIENCE, Keepers, Outlived
from agentflow.activity.own_ledger import MissingTraces, first_begun, see_ledger
from agentflow.activity.permits import Permits
from agentflow.activity.running import Running
from agentflow.activity.tally import call_did_nothing, none_called_before
from agentflow.contracts.effects import EffectRecord, StoredEffect
from agentflow.contracts.tools import ToolInvocation, ToolResult
from agentflow.contracts.wire import Sha256
from agentflow.core import effects
from agentflow.core.record_seals import Unsealed
from agentflow.errors import (
    ConfigurationError,
    EffectBusyError,
    EffectConflictError,
    EffectUnknownError,
    LedgerError,
    OutsideError,
    SourceChangedError,
    ToolUnavailableError,
)
from agentflow.telemetry import metrics
from agentflow.telemetry.logs import failure

_LOG = structlog.get_logger("agentflow")

TRIES_AT_THE_END = 6
"""How often an end is tried to be recorded: what happened is known here, and nowhere else."""
HANDOVER = timedelta(seconds=5)
"""What a lease has on top at least: the time in which what outlives its attempt is noticed and the lease is
renewed, also if the ledger can't be reached for a moment. Not with ``recovery="key"``: there the outside
system keeps attempts apart."""
_NO_REPEAT = (EffectConflictError, ConfigurationError)
"""Raised by a tool, these are not tried again."""


class Attempt:
    """One attempt of one call."""

    def __init__(
        self,
        caller: ToolCaller,
        ledger: LedgerCalls,
        permits: Permits,
        keepers: Keepers,
        invocation: ToolInvocation,
        *,
        is_inquiry: bool = False,
    ) -> None:
        """Begin one.

        Args:
            caller: Calls the tool.
            ledger: The worker's.
            permits: Asked before the tool is called.
            keepers: Keep the record of what outlives the attempt.
            invocation: The call.
            is_inquiry: Whether it only asks what became of the call: its activity's attempts are none of the
                tool's.
        """
        self._caller = caller
        self._ledger = ledger
        self._permits = permits
        self._keepers = keepers
        self._invocation = invocation
        self._is_inquiry = is_inquiry
        self.has_record: bool = False
        """Whether the ledger has a record of the call: a later attempt finds it."""
        self.has_withdrawn: bool = False
        """Whether that says that no attempt did anything."""
        self._has_called = False
        info = activity.info()
        self._limit = info.start_to_close_timeout or caller.contract.options.start_to_close_timeout
        self._delay = effects.effect_delay(caller.contract)
        self._margin = self._delay if caller.contract.recovery == "key" else max(self._delay, HANDOVER)
        self._lease = min(self._limit, MAX_LEASE) + self._margin
        self._number = info.attempt
        self.hold: Hold = Hold(ledger, self._intent(info))

    async def traces_missing(self) -> MissingTraces | None:
        """See that this is the run's ledger, and whether a call without a record may have been made."""
        is_inquiry = self._is_inquiry
        return await see_ledger(self._ledger, self._invocation.work, activity.info(), is_inquiry=is_inquiry)

    def first_record(self, traces: MissingTraces | None) -> EffectRecord:
        """What is recorded of a call that has no record."""
        return self.hold.record if traces is None else effects.untraced(self.hold.record, traces.why)

    async def without_traces(self, traces: MissingTraces) -> Exception:
        """What to raise where a call that may have been made had no record; it has one now."""
        if traces.since is None and self._caller.contract.recovery != "probe":
            # Nobody knows when it may have been made: no key can be trusted to be remembered.
            return await self._doubt(traces.why)
        return self.busy(self._lease)

    async def call(self, *, is_first: bool, was_called: bool = False) -> ToolResult:
        """Call the tool and record how it ended.

        Args:
            is_first: No attempt before this one can have had an effect.
            was_called: One before it may have called the tool all the same, without effect.
        """
        running = Running[ToolResult]()
        try:
            heed_cancellation()
            async with self.hold.at_work(self._limit, self._margin):
                await self._none_before(is_first=is_first)
                await self._permits(self._invocation)
                self._has_called = True
                result = await running.body(self._caller.call(self._invocation, self.hold.version))
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, EffectUnknownError) and not self._has_called:
                raise
            did_nothing = isinstance(error, ToolUnavailableError | SourceChangedError)
            if not self._has_called or (did_nothing and not await to_the_end(running.outlives())):
                if self._has_called:
                    call_did_nothing()
                await to_the_end(self._did_nothing(error, is_first=is_first and not was_called))
                raise
            if isinstance(error, asyncio.CancelledError):
                said = self._said("it was cancelled while the tool ran")
                await to_the_end(self._leave(running, self._delay, said, is_first=is_first))
                raise
            after = await to_the_end(self._after(error, running, is_first=is_first))
            if after is error:
                raise
            raise after from error
        happened = result.error is None or result.error.kind == "invalid_output"
        if not happened and await to_the_end(running.outlives()):
            assert result.error is not None
            refused = OutsideError(f"it refused, while it still ran: {result.error.message}")
            raise await to_the_end(self._after(refused, running, is_first=is_first))
        if not happened and not is_first:
            # "Already refunded" may be what the attempt before it has done.
            assert result.error is not None
            raise await self._doubt(
                self._said(f"the tool was called again, and refused: {result.error.message}")
            )
        return await to_the_end(self._end(result, happened=happened))

    async def count(self, key: Sha256) -> ToolResult:
        """Let an earlier run's effect stand for this call's, which has none of its own then."""
        by = await self.hold.found(key)
        if isinstance(by, Unsealed):
            raise EffectUnknownError(f"an earlier run's effect was to be counted, but {by}")
        if by is None or by.record.work != self.hold.record.work or by.record.state != "done":
            raise EffectConflictError(f"{key} is no effect that can be counted for this call's")
        counted = effects.counted(self.hold.record, by)
        found = await self.hold.begin(counted)
        if found is None:
            return self._caller.recorded(counted)
        if isinstance(found, Unsealed):
            raise await self.disbelieve(found)
        match effects.examine(found, counted):
            case effects.Ended(record):
                return self._caller.recorded(record)
            case effects.Abandoned(untouched=True):
                await self.hold.take(found, counted)
                return self._caller.recorded(counted)
            case effects.Busy(wait):
                raise self.busy(wait)
            case _:
                raise EffectUnknownError(f"an attempt of this call began before: {found.record.detail}")

    async def _none_before(self, *, is_first: bool) -> None:
        """See that no earlier run of the workflow id did the same.

        The call's own intent is on record by now: of two runs that look, at least one sees the other. An
        attempt that repeats another looks too, since that one may have died before it did.
        """
        work = self._invocation.work
        before = await self.hold.others(work.beside) if work and not work.alone else None
        if before is None:
            return
        earlier = very_same(before, self.hold.record)
        if not is_first and not isinstance(before, Unsealed):
            # Whether it counts, nobody can say who doesn't know what this call did itself.
            raise await self._doubt(f"an earlier attempt ended without a record, and {earlier}")
        raise earlier

    async def resume(
        self, found: StoredEffect, abandoned: effects.Abandoned, traces: MissingTraces | None
    ) -> ToolResult:
        """Go on after an attempt that ended without a record."""
        await self._take_over(found)
        if abandoned.untouched and not self._is_stale(found, traces):
            none_called_before()
            await self._call_again()
            return await self.call(is_first=True)
        begun = first_begun(self._invocation.work, activity.info(), is_inquiry=self._is_inquiry)
        since_first = max(abandoned.since_first, begun or timedelta(0))
        match effects.recovery_of(self._caller.contract, since_first):
            case "ask":
                raise await self._doubt(f"an earlier attempt ended without a record. {found.record.detail}")
            case "key":
                await self._call_again()
                return await self.call(is_first=False)
            case "probe":
                if (known := await self._probe()) is not None:
                    return await to_the_end(self._end(known, happened=True))
                await self._call_again()
                # What was called without effect is billed: it is never recorded as not called.
                return await self.call(is_first=True, was_called=True)

    async def settle(
        self, found: StoredEffect, traces: MissingTraces | None, *, may_probe: bool
    ) -> EffectRecord:
        """Find out what an attempt did that ended without a record: ask the outside system, or a person."""
        await self._take_over(found)
        if not found.record.attempts and not self._is_stale(found, traces):
            return await self._give_up("never began")
        if self._caller.contract.recovery != "probe":
            await self._doubt(found.record.detail or "an attempt ended without a record")
            return self.hold.record
        if not may_probe:
            left = found.record.detail or "an attempt ended without a record"
            await self._doubt(f"{left}; the outside system was not asked, as the budget does not cover it")
            return self.hold.record
        try:
            known = await self._probe()
        except EffectUnknownError:
            return self.hold.record
        if known is not None:
            await self._end(known, happened=True)
            return self.hold.record
        return await self._give_up("found undone")

    def _is_stale(self, found: StoredEffect, traces: MissingTraces | None) -> bool:
        """Whether a record that says that nothing was begun may be older than what an attempt has done.

        It is what the attempt right before this one left, unless an older copy of the ledger has it.
        """
        if traces is None:
            return False
        info, left = activity.info(), found.record
        is_last = left.owner.startswith(_owner(info, info.attempt - 1))
        return not (is_last and left.run_id == info.workflow_run_id)

    def busy(self, wait: timedelta) -> EffectBusyError:
        """Another attempt may still be at it."""
        return EffectBusyError(
            f"an earlier attempt of {self._caller.contract.name} may still have its effect; the next try is "
            f"in {wait.total_seconds():.1f} s (key {self._invocation.ledger_key})",
            retry_after=wait,
        )

    async def disbelieve(self, found: Unsealed, known: str = "") -> EffectUnknownError:
        """Put in the place of a record that no worker wrote that only a person can tell.

        Args:
            found: The record.
            known: What is known beside it.
        """
        said = found.stored.record
        by = f", closed by {said.closed_by}" if said.closed_by else ""
        detail = f"{known}{found}. It said: {said.state}, {said.attempts} attempts{by}"
        tool = self._caller.contract.name
        _LOG.error("record not written by a worker", tool=tool, key=said.key, state=said.state)
        metrics.effect_unknown(tool)
        await self.hold.take(found.stored, effects.in_doubt(self.hold.record, detail))
        return EffectUnknownError(detail)

    async def _did_nothing(self, error: BaseException, *, is_first: bool) -> None:
        """This attempt did nothing. One before it, of which only the intent is left, may have."""
        if is_first:
            self.has_withdrawn = await self.hold.withdraw()
            return
        said = self._said(f"it did nothing ({type(error).__name__}: {error})")
        await self.hold.leave(timedelta(0), f"{self.hold.record.detail}; {said}".removeprefix("; "))

    async def _take_over(self, found: StoredEffect) -> None:
        await self.hold.take(found, effects.taken_over(found, self.hold.record))

    async def _give_up(self, why: effects.GivenUp) -> EffectRecord:
        if not await self.hold.write(effects.given_up(self.hold.record, why)):
            raise self.busy(timedelta(seconds=1))
        return self.hold.record

    async def _call_again(self) -> None:
        # Whoever was thought dead, and was not, may have recorded an end meanwhile.
        if not await self.hold.write(effects.called_again(self.hold.record, self._lease)):
            raise self.busy(timedelta(seconds=1))

    async def _probe(self) -> ToolResult | None:
        running, now = Running[ToolResult | None](), timedelta(0)
        try:
            async with self.hold.at_work(self._limit, self._margin):
                return await running.body(self._caller.probe(self._invocation, self.hold.version))
        except EffectUnknownError as error:
            raise await self._doubt(f"the outside system was asked, and can't tell: {error}") from error
        except asyncio.CancelledError:
            said = self._said("the probe was cancelled")
            await to_the_end(self._leave(running, now, said, is_first=False))
            raise
        except Exception as error:
            said = self._said(f"the outside system could not be asked: {type(error).__name__}: {error}")
            await to_the_end(self._leave(running, now, said, is_first=False))
            raise

    async def _after(self, error: Exception, running: Running[Any], *, is_first: bool) -> Exception:
        """What to raise after the tool failed in a way that does not say what it has done."""
        said = self._said(f"{type(error).__name__}: {error}")
        if self._caller.contract.recovery == "ask":
            # Trying again could do it twice: only a person can know.
            if not await running.outlives() and running.late_body() is None:
                return await self._doubt(said)
            doubt = await self._doubt(f"{said}; {self._keepers.where(running)}".removesuffix("; "))
            self._keepers.watch(self._outlived(running, self._delay, said, is_first=is_first))
            return doubt
        await self._leave(running, self._delay, said, is_first=is_first)
        if isinstance(error, _NO_REPEAT) or not self._delay:
            return error
        return OutsideError(said, retry_after=self._delay)

    async def _leave(self, running: Running[Any], delay: timedelta, said: str, *, is_first: bool) -> None:
        """End without knowing what it came to. While something of it runs, no other attempt acts."""
        await self._keepers.leave(self._outlived(running, delay, said, is_first=is_first))

    def _outlived(self, running: Running[Any], delay: timedelta, said: str, *, is_first: bool) -> Outlived:
        async def concluded(answer: object) -> bool:
            if not isinstance(answer, ToolResult):
                return False  # a probe's no
            happened = answer.error is None or answer.error.kind == "invalid_output"
            if not happened and (running.left or not is_first):
                return False
            detail = f"{said}; it came back after that"
            self.hold.record = self.hold.record.model_copy(update={"detail": detail})
            await self._end(answer, happened=happened)
            return True

        async def asked() -> ToolResult | None:
            return await self._caller.probe(self._invocation, self.hold.version)

        contract = self._caller.contract
        return Outlived(
            self.hold,
            running,
            lease=self._lease,
            delay=delay,
            patience=min(self._limit, MAX_PATIENCE) + self._delay,
            said=said,
            conclude=concluded,
            # One more question, after the attempt has counted its own: only where it costs nothing.
            ask=asked if contract.recovery == "probe" and not contract.probe_cost_usd else None,
        )

    async def _doubt(self, detail: str) -> EffectUnknownError:
        """Mark the call as one that only a person can tell the end of."""
        detail = f"{detail.strip()} (key {self._invocation.ledger_key})"
        metrics.effect_unknown(self._caller.contract.name)
        try:
            await self.hold.write(effects.in_doubt(self.hold.record, detail))
        except LedgerError as error:
            # It stays an intent whose lease runs out, which is in doubt as well.
            _LOG.warning("ledger not updated", key=self.hold.record.key, **failure(error))
        return EffectUnknownError(detail)

    async def _end(self, result: ToolResult, *, happened: bool) -> ToolResult:
        tool = self._caller.contract.name
        record = effects.ended(self.hold.record, result.model_dump_json(), happened=happened)
        try:
            against = await self.hold.end(record, tries=TRIES_AT_THE_END)
        except LedgerError as error:
            # The result is known, and Temporal keeps it. Should this be lost as well, the record is an
            # intent without an end: in doubt, as it should be.
            _LOG.error("effect not recorded", tool=tool, key=record.key, **failure(error))
            return result
        came = "was carried out" if happened else "was refused"
        if isinstance(against, Unsealed):
            raise await self.disbelieve(against, f"{tool} {came} by this attempt, but ")
        if against is None or against.record.result == record.result:
            return result
        _LOG.error("ledger contradicts", tool=tool, key=record.key, state=against.record.state)
        metrics.effect_unknown(tool)
        raise EffectUnknownError(
            f"{tool} {came} by this attempt, while the ledger says {against.record.state} by another "
            f"(key {record.key}): {against.record.detail}"
        )

    def _said(self, what: str) -> str:
        return f"attempt {self._number}: {what}"

    def _intent(self, info: activity.Info) -> EffectRecord:
        grounds, work = self._invocation.grounds, self._invocation.work
        return EffectRecord(
            key=self._invocation.ledger_key,
            namespace=info.namespace,
            workflow_id=info.workflow_id or "",
            chain=work.chain if work else "",
            agent=grounds.agent if grounds else "",
            tenant=grounds.tenant if grounds else "",
            run_id=info.workflow_run_id or "",
            tool=self._caller.contract.name,
            tool_call_id=self._invocation.call_id,
            arguments_hash=self._invocation.decision.arguments_hash,
            work=work.id if work else None,
            owner=f"{_owner(info, info.attempt)}{uuid4().hex}",
            lease=self._lease,
        )


def _owner(info: activity.Info, attempt: int) -> str:
    """How the owner begins of the records that an attempt of this activity writes."""
    return f"{info.activity_id}/{attempt}/"
