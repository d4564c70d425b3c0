"""Whether a worker's ledger is the one that a run's writes are recorded in, and has all of them.

A call that has no record has not been made: by that a write happens once. It holds for the ledger that
earlier attempts wrote to, as long as nothing of it is lost.
"""

from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity

from agentflow.activity.hold import tried
from agentflow.activity.ledger_calls import LedgerCalls
from agentflow.contracts.work import Work
from agentflow.core.record_seals import Unsealed
from agentflow.errors import OtherLedgerError


@dataclass(frozen=True)
class MissingTraces:
    """Why a call that has no record may have been made all the same."""

    why: str
    """For a person."""
    since: timedelta | None
    """How long ago that was, at most; ``None`` if nobody can tell."""


async def see_ledger(
    ledger: LedgerCalls, work: Work | None, info: activity.Info, *, is_inquiry: bool
) -> MissingTraces | None:
    """See that a ledger is the run's, and whether a call without a record may have been made.

    Args:
        ledger: The worker's.
        work: What is to be written.
        info: Of the attempt.
        is_inquiry: Whether the attempt only asks what became of the call.

    Raises:
        OtherLedgerError: it is another one, or lacks a record that the run knows of.
        LedgerError: it can't be used.
    """
    identity = await tried(ledger.identity)
    needed, after = (work.ledger, work.after) if work else (None, None)
    lost = identity.losses_of(needed) if needed else ()
    if needed and needed != identity.id and not lost:
        raise OtherLedgerError(
            f"this worker's ledger is {identity.id} ({ledger!r}), and the run's writes are recorded in "
            f"{needed}: give this worker that one, or, if it is lost, let this one stand for it by "
            f"`agentflow ledger adopt --instead-of {needed}`"
        )
    if lost:
        told = (f"{one.id}, of which {one.by} says that there may be missing: {one.lost}" for one in lost)
        return MissingTraces(f"the ledger {identity.id} stands for {'; and for '.join(told)}", None)
    last = await tried(lambda: ledger.get(after)) if after else None
    if after and last is None:
        raise OtherLedgerError(
            f"the ledger {identity.id} ({ledger!r}) has no record {after}, which an earlier write of "
            "the run left there: it was emptied, or is an older copy. Restore what is missing, or let "
            "`agentflow ledger adopt` say what is"
        )
    if isinstance(last, Unsealed):
        return MissingTraces(f"whoever writes to the ledger {identity.id} is no worker alone: {last}", None)
    begun = first_begun(work, info, is_inquiry=is_inquiry)
    if begun is None:
        return None
    return MissingTraces(
        f"an attempt of it has run before, and the ledger {identity.id} had no record of it: that attempt "
        "died before it began, or the record was lost",
        begun,
    )


def first_begun(work: Work | None, info: activity.Info, *, is_inquiry: bool) -> timedelta | None:
    """How long ago an attempt before this one may have begun, at most; ``None`` if there was none.

    By the server's clock: a worker's may be wrong.
    """
    if work and work.begun:
        return info.started_time - work.begun
    was_reset = work is not None and work.execution not in ("", info.workflow_run_id)
    is_repeat = not is_inquiry and (info.attempt > 1 or was_reset)
    return info.started_time - info.scheduled_time if is_repeat else None
