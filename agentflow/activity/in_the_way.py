"""What stands in the way of a call: the very same effect of an earlier run, or another call in its place."""

from agentflow.activity.hold import Hold
from agentflow.contracts.effects import EarlierEffect, EffectRecord, StoredEffect
from agentflow.contracts.wire import Sha256
from agentflow.core import effects
from agentflow.core.idempotency import key_beside
from agentflow.core.record_seals import Unsealed
from agentflow.errors import EarlierEffectError, EffectUnknownError

MAX_BESIDE = 100
"""How many calls with other arguments a run may have made in one place, one after each reset."""


def very_same(before: StoredEffect | Unsealed, own: EffectRecord) -> EarlierEffectError:
    """Another run of the workflow id had a call's very effect, or an earlier execution of the call's run.

    Args:
        before: Its record.
        own: The call's.
    """
    found = effects.told_of(before)
    if isinstance(before, Unsealed):
        said = f"an earlier run of this workflow id may have done the very same {own.tool}: {before}"
    else:
        is_ours = found.chain == own.chain
        who = "an earlier execution of this run" if is_ours else f"run {found.chain} of this workflow id"
        said = f"{who} {_did(found)} the very same {own.tool} ({_where(found)})"
    return EarlierEffectError(said, found.model_dump(mode="json"))


async def place_taken(hold: Hold, found: StoredEffect) -> EarlierEffectError:
    """The run was reset and went another way: in the call's place it had asked for another.

    Args:
        hold: The call's.
        found: The record in its place.

    Raises:
        EffectBusyError: another attempt has changed that one's record meanwhile.
        LedgerError: the ledger can't be used.
    """
    tool = hold.record.tool
    was_made_beside = await own_place(hold) is not None
    if effects.is_withdrawn(found):
        # None of its own attempts may begin it now.
        await hold.take(found, effects.given_up(found.record, "never began"))
        found = found.model_copy(update={"record": hold.record})
    there = effects.in_the_place(found, was_made_beside=was_made_beside)
    did = "let another run's count for" if found.record.counts else _did(there)
    said = f"an earlier execution of this run {did} another {tool} in this place ({_where(there)})"
    return EarlierEffectError(said, there.model_dump(mode="json"))


async def own_place(hold: Hold) -> Sha256 | None:
    """The key under which a call was made beside those in its place; ``None`` if it never was.

    Raises:
        EffectUnknownError: there are too many of them.
        LedgerError: the ledger can't be used.
    """
    own = hold.record
    key = own.key
    for _ in range(MAX_BESIDE):
        key = key_beside(key)
        there = await hold.found(key)
        if there is None:
            return None
        record = there.stored.record if isinstance(there, Unsealed) else there.record
        if record.arguments_hash == own.arguments_hash:
            return key
    raise EffectUnknownError(f"the run was reset and went other ways more than {MAX_BESIDE} times here")


def _did(earlier: EarlierEffect) -> str:
    did = {"done": "did", "failed": "did not do", "intended": "may still do", "unknown": "may have done"}
    return did[earlier.state]


def _where(earlier: EarlierEffect) -> str:
    return f"key {earlier.key}, {earlier.at.isoformat(timespec='seconds')}"
