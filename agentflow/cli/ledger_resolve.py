"""A person closes a record that is in doubt: through its run while that waits for it, else directly."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from pydantic import ValidationError
from temporalio.service import RPCError, RPCStatusCode

from agentflow.cli.exits import CommandFailed, ExitCode, misused, refused
from agentflow.cli.failures import RPC_TIMEOUT, answer_of, explain
from agentflow.cli.ledger_seals import is_genuine
from agentflow.cli.ledger_view import meaning, standing
from agentflow.cli.own_key import signed_if_asked
from agentflow.cli.resolution import POLL_SECONDS, RECORD_TIMEOUT_SECONDS, resolution_of, send
from agentflow.cli.session import Session
from agentflow.client import AgentClient
from agentflow.contracts.effects import EffectClosing, EffectRecord, EffectVerdict, StoredEffect
from agentflow.contracts.escalation import Escalation, Resolution, RunStatus
from agentflow.contracts.wire import Sha256
from agentflow.core.answer import describe_errors
from agentflow.core.effects import closed, result_of
from agentflow.core.record_seals import sealed
from agentflow.core.seal import SealKeys
from agentflow.core.words import span
from agentflow.errors import LedgerError
from agentflow.ports.ledger import EffectLedger

_DATED_AHEAD = timedelta(minutes=1)
"""By less, a worker that has just written may be ahead."""
_DOUBTFUL_AGE = timedelta(0)
"""What is told of a record that is dated ahead."""
_LONGEST_WATCH = timedelta(minutes=10)


@dataclass(frozen=True)
class Word:
    """What a person says of a record, in the form that the run takes and in the form that the ledger does."""

    resolution: Resolution
    closing: EffectClosing

    @property
    def result(self) -> str | None:
        """The ``ToolResult`` that follows from it, as JSON."""
        result = result_of(self.closing)
        return None if result is None else result.model_dump_json()


def word_of(
    verdict: EffectVerdict, by: str, text: str, result: str | None, roles: Sequence[str] = ()
) -> Word:
    """What the command line says.

    Raises:
        CommandFailed: it is no word on a record.
    """
    resolution = resolution_of(verdict, by, text, result=result, roles=roles)
    try:
        closing = EffectClosing(verdict=verdict, by=by, text=text, output=resolution.result)
    except ValidationError as error:
        raise misused(f"this is no word on a record: {describe_errors(error)}") from None
    return Word(resolution, closing)


async def found(ledger: EffectLedger, key: str) -> StoredEffect:
    """The record of a key.

    Raises:
        CommandFailed: there is none.
    """
    is_key = len(key) == 64 and set(key) <= set("0123456789abcdef")
    stored = await ledger.get(Sha256(key)) if is_key else None
    if stored is None:
        hint = "" if is_key else ": a key is 64 hexadecimal digits, as `agentflow ledger list` shows it"
        raise CommandFailed(ExitCode.NOT_FOUND, f"the ledger has no record {key}{hint}")
    return stored


async def watch_seconds(ledger: EffectLedger, stored: StoredEffect, keys: SealKeys | None) -> float:
    """How long to watch a record whose stamp is ahead of the ledger's clock: its lease, by that, never ends.

    Answers 0 where there is nothing to watch, or it would take too long.
    """
    if standing(stored, keys) != "under way" or stored.age > _DOUBTFUL_AGE:
        return 0
    is_ahead = stored.written_at > await ledger.clock() + _DATED_AHEAD
    return stored.record.lease.total_seconds() if is_ahead and stored.record.lease <= _LONGEST_WATCH else 0


async def watched(ledger: EffectLedger, stored: StoredEffect, seconds: float) -> StoredEffect:
    """The record after so long, with that as its age if nobody has changed it."""
    await asyncio.sleep(seconds)
    again = await found(ledger, stored.record.key)
    is_same = (again.version, again.record.owner) == (stored.version, stored.record.owner)
    return again.model_copy(update={"age": max(again.age, again.record.lease)}) if is_same else again


def check_doubt(stored: StoredEffect, keys: SealKeys | None) -> None:
    """Go on only with a record that a person may close.

    Raises:
        CommandFailed: an attempt may be at it, or its end is known.
    """
    record = stored.record
    match standing(stored, keys):
        case "outlived" | "abandoned" | "unknown":
            return
        case "under way":
            left = span(record.lease - stored.age)
            raise refused(
                f"an attempt of {record.tool} may still be at it for {left}: nobody can say yet what it came "
                "to; nothing was closed"
            )
        case "given up" | "done" | "failed":
            raise refused(
                f"nothing is in doubt: {meaning(stored, keys)} (see `agentflow ledger show {record.key}`; if "
                f"its run waits for a person all the same, answer that: `agentflow status "
                f"{record.workflow_id}`)"
            )


def close_record(
    session: Session,
    ledger: EffectLedger,
    stored: StoredEffect,
    word: Word,
    keys: SealKeys | None,
    *,
    offline: bool,
) -> StoredEffect:
    """Close a record in doubt the way that is right for its run, and answer the record after.

    Args:
        session: The command's.
        ledger: Where the record is.
        stored: The record.
        word: What the person says.
        keys: The fleet's, with which a record is sealed that is closed directly; ``None`` without.
        offline: Close it also if Temporal can't say how the run stands.

    Raises:
        CommandFailed: it can't be closed now, or somebody was faster; the text says what to do.
    """
    record = stored.record
    try:
        client = session.client_of(record.namespace)
        escalation = session.run(_open_question(client, record))
    except CommandFailed as failed:
        if failed.code != ExitCode.UNREACHABLE or isinstance(failed, _RunSilent):
            raise
        if not offline:
            raise CommandFailed(
                failed.code,
                f"{failed}. Nothing was closed, since the run may be at it; with --offline the record is "
                "closed without asking",
            ) from failed
        session.output.note(f"{failed}: closing the record without asking the run")
    else:
        if escalation is not None:
            bound = signed_if_asked(session, client, record.workflow_id, escalation, word.resolution)
            after = session.run(_through_run(client, ledger, record, bound, escalation.identity))
            if after.record.is_open:
                session.output.note(
                    f"{record.workflow_id} took your word, and needs more people to say the same: see "
                    f"`agentflow status {record.workflow_id}`"
                )
            return after
        session.output.note(
            f"{record.workflow_id} is not open in {record.namespace}: closing the record directly"
        )
    if not is_genuine(stored, keys):
        why = "give --seals FILE, with the workers' keys" if keys is None else "no worker wrote it"
        session.output.note(
            f"the record is closed without the workers' seal ({why}): a run that comes back to this call "
            "asks a person again"
        )
    return session.run(close_directly(ledger, stored, word, keys))


async def close_directly(
    ledger: EffectLedger, stored: StoredEffect, word: Word, keys: SealKeys | None = None
) -> StoredEffect:
    """Write a person's word into the record, if it is still as they saw it.

    It is sealed if there are keys and it was: of what nobody knows who wrote it, no seal says otherwise.

    Raises:
        CommandFailed: it isn't, or the ledger failed.
    """
    key = stored.record.key
    after = closed(stored.record, word.closing, word.result).model_copy(update={"seal": ""})
    if keys is not None and is_genuine(stored, keys):
        after = sealed(after, stored.version + 1, keys)
    try:
        if await ledger.replace(after, version=stored.version):
            return await found(ledger, key)
    except LedgerError as error:
        raise CommandFailed(
            ExitCode.UNREACHABLE,
            f"{error}; the record may be closed all the same: see `agentflow ledger show {key}`",
        ) from error
    now = await ledger.get(key)
    became = "is gone" if now is None else f"has changed meanwhile. {meaning(now, keys)}"
    raise refused(f"the record {became} (see `agentflow ledger show {key}`); nothing was closed")


class _RunSilent(CommandFailed):
    """The run is open, and no worker answers for it."""


async def _open_question(client: AgentClient, record: EffectRecord) -> Escalation | None:
    """What the run asks of this record; ``None`` if the run isn't open.

    Raises:
        CommandFailed: the run is at something else, or can't be asked.
    """
    workflow_id = record.workflow_id
    if not await _is_open(client, record):
        return None
    try:
        status = await answer_of(workflow_id, client.status(workflow_id))
    except CommandFailed as failed:
        raise _RunSilent(failed.code, f"{workflow_id} is open, and {failed} Nothing was closed") from failed
    asked = status.escalation
    if asked is not None and asked.effect is not None and asked.effect.key == record.key:
        return asked
    raise refused(
        f"{workflow_id} is open, and not waiting for a word on this: it is {_doing(status)}. Its worker "
        "finds out what happened, or asks; nothing was closed"
    )


async def _is_open(client: AgentClient, record: EffectRecord) -> bool:
    handle = client.temporal.get_workflow_handle(record.workflow_id)
    try:
        execution = await handle.describe(rpc_timeout=RPC_TIMEOUT)
    except RPCError as error:
        if _is_no_namespace(error):
            raise CommandFailed(
                ExitCode.UNREACHABLE,
                f"this Temporal has no namespace {record.namespace}: is --address right?",
            ) from error
        if error.status == RPCStatusCode.NOT_FOUND:
            return False
        failed = explain(error)
        assert failed is not None
        raise failed from error
    return execution.close_time is None


def _is_no_namespace(error: RPCError) -> bool:
    """Not found is the namespace, and not the run: the server says so in a detail of the status."""
    return any("NamespaceNotFound" in detail.type_url for detail in error.grpc_status.details)


def _doing(status: RunStatus) -> str:
    said = f"{status.state.replace('_', ' ')}, turn {status.turn}"
    why = status.escalation.reason if status.escalation else status.detail
    return f"{said} ({why})" if why else said


async def _through_run(
    client: AgentClient, ledger: EffectLedger, record: EffectRecord, bound: Resolution, identity: str
) -> StoredEffect:
    """Tell the run, whose worker closes the record once enough people say the same."""
    taken = await send(client, record.workflow_id, bound, identity)
    if not taken.accepted:
        raise refused(f"{record.workflow_id} refused it: {taken.detail}")
    asked = (await answer_of(record.workflow_id, client.status(record.workflow_id))).escalation
    if asked is not None and asked.id == bound.escalation_id and asked.words:
        return await found(ledger, record.key)
    try:
        async with asyncio.timeout(RECORD_TIMEOUT_SECONDS):
            after = await found(ledger, record.key)
            while after.record.is_open:
                await asyncio.sleep(POLL_SECONDS)
                after = await found(ledger, record.key)
            return after
    except (TimeoutError, LedgerError) as error:
        seen = (
            f"; {error}"
            if isinstance(error, LedgerError)
            else ", and its worker has not closed the record yet"
        )
        raise CommandFailed(
            ExitCode.UNREACHABLE,
            f"{record.workflow_id} took your word{seen}: see `agentflow ledger show {record.key}` and "
            f"`agentflow status {record.workflow_id}`",
        ) from error
