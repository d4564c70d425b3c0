"""What a write's record in the ledger means, and how it changes.

    (none) ── intended ──┬─▶ done      the tool was carried out
                 ▲       ├─▶ failed    it certainly was not
                 │       └─▶ unknown ──▶ done │ failed │ closed as unknown, by a person
       taken over after
       its lease is over, or withdrawn by an attempt that did nothing

An attempt may act while it owns the record, until its lease is over. The lease covers what the attempt
has begun and can't take back: another attempt that finds it live waits, and one that finds it over does
not know whether the effect happened. While what an attempt began still runs after its end, its worker renews
the lease; a person may close the record all the same. Every change compares versions, so of two attempts one
wins.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from agentflow.contracts.effects import (
    EarlierEffect,
    EffectClosing,
    EffectRecord,
    StoredEffect,
)
from agentflow.contracts.tools import Recovery, ToolContract, ToolError, ToolResult
from agentflow.contracts.wire import Sha256
from agentflow.core.record_seals import Unsealed
from agentflow.errors import EffectConflictError

MAX_DETAIL = 4_000
NEVER_BEGAN = "no attempt of it began"
"""Detail of a record that keeps a call from beginning after its run has given it up."""
FOUND_UNDONE = "the outside system says that it did not happen"
"""Detail of a record that a probe has closed after the run has given the call up."""
_OUTLIVED = "/outlived"
"""At the end of an owner's name: it has ended, and what it began still runs."""


@dataclass(frozen=True)
class Ended:
    """The record says how it ended."""

    record: EffectRecord


@dataclass(frozen=True)
class Busy:
    """The effect may still come about by what another attempt has begun."""

    wait: timedelta


@dataclass(frozen=True)
class Abandoned:
    """An earlier attempt left it, and can have no effect any more."""

    since_first: timedelta
    """Time since the first attempt, by the ledger's clock; the longest there is where that went backwards."""
    untouched: bool = False
    """Whether it is certain that no attempt has begun anything."""


@dataclass(frozen=True)
class Doubtful:
    """It was found before that nobody can tell but a person."""

    detail: str


GivenUp = Literal["never began", "found undone"]
"""Why a call that its run has given up certainly did not happen."""


@dataclass(frozen=True)
class Taken:
    """The key is of another call: in this place the run asked for other arguments before it was reset."""

    record: EffectRecord


Finding = Ended | Busy | Abandoned | Doubtful | Taken


def examine(stored: StoredEffect, intent: EffectRecord) -> Finding:
    """What an attempt that wants to act finds.

    Args:
        stored: The record under the attempt's key.
        intent: What the attempt wanted to insert.

    Raises:
        EffectConflictError: the key is that of a call of another tool.
    """
    record = stored.record
    if record.tool != intent.tool:
        raise EffectConflictError(
            f"ledger key {record.key} belongs to another call ({record.tool}, {record.state}, call "
            f"{record.tool_call_id} of {record.workflow_id}, run {record.run_id})"
        )
    if record.arguments_hash != intent.arguments_hash:
        return Taken(record)
    match record.state:
        case "done" | "failed":
            return Ended(record)
        case "unknown":
            return Doubtful(record.detail)
        case "intended" if stored.age < record.lease:
            return Busy(record.lease - stored.age)
        case "intended":
            return Abandoned(_since_first(stored), untouched=not record.attempts)


def _since_first(stored: StoredEffect) -> timedelta:
    if stored.written_at < stored.created_at:
        # The clock was set back in between, nobody knows how far.
        return timedelta.max
    return stored.written_at - stored.created_at + stored.age


def untraced(intent: EffectRecord, why: str) -> EffectRecord:
    """The record of a call that an attempt may have made, and of which the ledger had none.

    It stands for that attempt: until its lease is over no other one acts, and then the call goes on as after
    any attempt that left no end.
    """
    return _changed(intent, attempts=1, detail=_storable(why))


def told_of(found: StoredEffect | Unsealed) -> EarlierEffect:
    """An effect of another run, as a run is told of it. One that no worker wrote may be anything."""
    stored = found.stored if isinstance(found, Unsealed) else found
    record = stored.record
    return EarlierEffect(
        key=record.key,
        chain=record.chain,
        tool_call_id=record.tool_call_id,
        state="unknown" if isinstance(found, Unsealed) else record.state,
        at=stored.written_at,
    )


def in_the_place(found: StoredEffect, *, was_made_beside: bool) -> EarlierEffect:
    """What takes a call's place, as its run is told of it.

    Args:
        found: The record.
        was_made_beside: Whether the call itself has a record beside it.
    """
    lets_by = was_made_beside or found.record.state == "failed"
    return told_of(found).model_copy(update={"other_arguments": True, "lets_by": lets_by})


def is_withdrawn(found: StoredEffect) -> bool:
    """Whether nothing was begun of a call, and no attempt is about to."""
    record = found.record
    return record.state == "intended" and not record.attempts and found.age >= record.lease


def earlier(
    found: Iterable[StoredEffect | Unsealed], own: EffectRecord, beside: Collection[Sha256]
) -> StoredEffect | Unsealed | None:
    """The first effect of an earlier run that a call would repeat; ``None`` if there is none.

    Args:
        found: All records of the call's work, the oldest first.
        own: The call's own record.
        beside: Keys of those that the run knows of.
    """
    known = (own.key, *beside)
    others = (one for one in found if _key_of(one) not in known and not _is_of_the_same(one, own))
    return next(filter(_may_count, others), None)


def _is_of_the_same(found: StoredEffect | Unsealed, own: EffectRecord) -> bool:
    """Whether the very execution of the run made it, which asks for both."""
    if isinstance(found, Unsealed):
        return False
    return (found.record.chain, found.record.run_id) == (own.chain, own.run_id)


def _key_of(found: StoredEffect | Unsealed) -> Sha256:
    return (found.stored if isinstance(found, Unsealed) else found).record.key


def _may_count(found: StoredEffect | Unsealed) -> bool:
    """Whether an effect of its own has happened, or may happen."""
    if isinstance(found, Unsealed):
        return True
    record = found.record
    was_begun = record.state != "intended" or bool(record.attempts)
    return was_begun and record.state != "failed" and record.counts is None


def counted(record: EffectRecord, by: StoredEffect) -> EffectRecord:
    """The record of a call for which an earlier run's effect counts."""
    that = by.record
    detail = f"counted: run {that.chain} did it by {by.written_at.isoformat()} (key {that.key})"
    return _changed(
        record,
        state="done",
        lease=timedelta(0),
        attempts=0,
        result=that.result,
        counts=that.key,
        detail=detail,
    )


def effect_delay(contract: ToolContract) -> timedelta:
    """How long what an attempt began may have its effect after nobody waits for it any more.

    A system that honours idempotency keys keeps a request in flight and its repetition apart by itself.
    """
    return timedelta(0) if contract.recovery == "key" else contract.options.max_effect_delay


def recovery_of(contract: ToolContract, since_first: timedelta) -> Recovery:
    """How to go on after an earlier attempt. A key that the outside system may have forgotten is none.

    Args:
        contract: The tool's.
        since_first: Time since the first attempt, at least.
    """
    if contract.recovery == "key" and since_first >= contract.options.key_lifetime:
        return "ask"
    return contract.recovery


def taken_over(stored: StoredEffect, intent: EffectRecord) -> EffectRecord:
    """The record in the hands of a new attempt, which calls nothing yet."""
    return _changed(stored.record, owner=intent.owner, run_id=intent.run_id, lease=intent.lease)


def called_again(record: EffectRecord, lease: timedelta) -> EffectRecord:
    """The record of an attempt that is about to call the tool once more."""
    return _changed(record, lease=lease, attempts=record.attempts + 1)


def left(record: EffectRecord, wait: timedelta, detail: str) -> EffectRecord:
    """The record of an attempt that ended without knowing what it did, and begins nothing more.

    Args:
        record: As it was.
        wait: How long what it began may still have its effect.
        detail: What is known.
    """
    return _changed(record, owner=_attempt_of(record), lease=wait, detail=_storable(detail))


def outlived(record: EffectRecord, lease: timedelta, detail: str) -> EffectRecord:
    """The record of an attempt that ended while what it began still runs: nobody acts, a person may speak.

    Args:
        record: As it was.
        lease: Until it must be renewed.
        detail: What still runs, and where.
    """
    return _changed(record, owner=_attempt_of(record) + _OUTLIVED, lease=lease, detail=_storable(detail))


def is_outlived(record: EffectRecord) -> bool:
    """Whether its attempt has ended, and left something that still runs."""
    return record.state == "intended" and record.owner.endswith(_OUTLIVED)


def withdrawn(record: EffectRecord) -> EffectRecord:
    """The record of a call of which nothing was begun. The next attempt is its first.

    It is not removed: its version must not come again, or a late change of an attempt that was thought dead
    would hit the record of another.
    """
    return _changed(record, lease=timedelta(0), attempts=0, detail="")


def renewed(record: EffectRecord, lease: timedelta) -> EffectRecord:
    """The record of an attempt that is still at work."""
    return _changed(record, lease=lease)


def in_doubt(record: EffectRecord, detail: str) -> EffectRecord:
    """Only a person can tell."""
    return _changed(record, state="unknown", lease=timedelta(0), detail=_storable(detail))


def ended(record: EffectRecord, result: str, *, happened: bool) -> EffectRecord:
    """How it ended is known."""
    return _changed(record, state="done" if happened else "failed", lease=timedelta(0), result=result)


def given_up(record: EffectRecord, why: GivenUp) -> EffectRecord:
    """It did not happen, and no attempt may begin any more."""
    detail = NEVER_BEGAN if why == "never began" else FOUND_UNDONE
    result = ToolResult(error=ToolError(kind="failed", message=detail)).model_dump_json()
    return _changed(ended(record, result, happened=False), detail=detail)


def was_given_up(record: EffectRecord) -> bool:
    """Whether ``given_up`` made the record, and not a tool's own refusal."""
    return record.state == "failed" and record.detail in (NEVER_BEGAN, FOUND_UNDONE)


def closed(record: EffectRecord, closing: EffectClosing, result: str | None) -> EffectRecord:
    """A person said what happened, or that nobody will find out.

    Args:
        record: As it was.
        closing: The person's word.
        result: The ``ToolResult`` as JSON; ``None`` for ``abort``.
    """
    said = f"{closing.verdict}, says {closing.by}: {closing.text}".removesuffix(": ")
    detail = f"{record.detail}; {said}".removeprefix("; ")[-MAX_DETAIL:]
    by = _storable(closing.by)
    if result is None:
        return _changed(in_doubt(record, detail), closed_by=by)
    finished = ended(record, result, happened=closing.verdict == "happened")
    return _changed(finished, closed_by=by, detail=_storable(detail), counts=closing.counts)


def result_of(closing: EffectClosing) -> ToolResult | None:
    """What the tool's callers get by a person's word; ``None`` where the person gave up."""
    match closing.verdict:
        case "happened":
            return ToolResult(output=closing.output)
        case "did_not_happen":
            said = f"it did not happen, says {closing.by}: {closing.text}".removesuffix(": ")
            return ToolResult(error=ToolError(kind="failed", message=said))
        case "abort":
            return None


def knows_better(found: StoredEffect, own: EffectRecord) -> bool:
    """Whether an attempt that knows how its call ended may say so, though it lost the record meanwhile.

    It may unless the end is recorded, a person has closed the record, or another attempt is at work.
    """
    record = found.record
    return record.is_open and (record.state == "unknown" or _attempt_of(record) == _attempt_of(own))


def _attempt_of(record: EffectRecord) -> str:
    """The attempt that owns a record, whether or not it has ended."""
    return record.owner.removesuffix(_OUTLIVED)


def _storable(text: str) -> str:
    """A text that every store takes: bounded, no lone surrogates, no NUL."""
    return text[:MAX_DETAIL].encode(errors="replace").decode().replace("\x00", "\ufffd")


def _changed(record: EffectRecord, **changes: object) -> EffectRecord:
    return record.model_copy(update=changes)
