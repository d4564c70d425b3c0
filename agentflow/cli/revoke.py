"""``agentflow approver revoke``: a key, or one delegation, is not to be believed any more."""

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from pydantic_core import to_jsonable_python

from agentflow.activity.hold import tried
from agentflow.adapters.broadcast import ALL_OPEN_RUNS, Told, tell_runs
from agentflow.adapters.jwks_file import revoke_key
from agentflow.adapters.signer import delegation_id
from agentflow.cli.connection import namespace_of
from agentflow.cli.decide import Reason
from agentflow.cli.exits import CommandFailed, ExitCode, misused
from agentflow.cli.failures import explain
from agentflow.cli.ledger_place import LEDGER_VARIABLE, LedgerUrl, existing, ledger_url
from agentflow.cli.options import AsJson, By
from agentflow.cli.output import facts
from agentflow.cli.own_key import token_in
from agentflow.cli.session import Session, open_session
from agentflow.contracts.identity import Revocation
from agentflow.contracts.names import REVOKE_SIGNAL
from agentflow.contracts.stops import HEARD_WITHIN, delegation_stop, key_stop
from agentflow.core.answer import describe_errors
from agentflow.errors import AgentflowError

Jwks = Annotated[
    Path | None,
    typer.Option("--jwks", metavar="FILE", help="The workers' list of keys, if you may change it."),
]


def revoke(
    context: typer.Context,
    kid: Annotated[str, typer.Argument(metavar="KID", help="The key, as the list names it.")],
    *,
    by: By,
    reason: Reason = "",
    jwks: Jwks = None,
    ledger: LedgerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Let a key not be believed any more, by runs at work, by runs to come, and by writes already approved.

    It is written into the effect ledger, which each write asks right before it
    acts; consents that rest on the key are taken back where nothing has come of
    them. Runs to come read the workers' list: --jwks marks the key there. Exit 1 if
    a run could not be told, 3 if the ledger could not be written. It is for good:
    whose key was revoked by mistake makes a new one.
    """
    with open_session(context, as_json=as_json) as session:
        said = _said(kid=kid, by=by, reason=reason)
        if jwks:
            revoke_key(jwks, kid, datetime.now(UTC))
        else:
            session.output.note("runs to come believe it until the workers' list says that it is revoked")
        _revoke(session, "key", kid, said, ledger)


def revoke_delegation(
    context: typer.Context,
    given: Annotated[
        str, typer.Argument(metavar="ID|FILE", help="The delegation's id, or the file that has it.")
    ],
    *,
    by: By,
    reason: Reason = "",
    ledger: LedgerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Let one delegation not be believed any more; the keys of both people go on to count.

    It is written into the effect ledger, which each write asks right before it
    acts. Exit 1 if a run could not be told, 3 if the ledger could not be written.
    """
    with open_session(context, as_json=as_json) as session:
        try:
            name = delegation_id(token_in(Path(given))) if Path(given).is_file() else given
        except AgentflowError as error:
            raise misused(str(error)) from None
        _revoke(session, "delegation", name, _said(delegation=name, by=by, reason=reason), ledger)


def _revoke(session: Session, kind: str, name: str, said: Revocation, ledger: str | None) -> None:
    """Write it into the ledger, tell the runs at work, and wait until every worker knows."""
    stop = key_stop(name) if kind == "key" else delegation_stop(name)
    failed: CommandFailed | None = None
    in_ledger = None
    try:
        in_ledger = _in_ledger(session, stop, said.by, said.reason, ledger)
    except AgentflowError as error:
        # The runs are told all the same, and then it is said.
        failed = explain(error)
    temporal = session.client().temporal
    told = Told(name)

    async def until_known() -> None:
        telling = tell_runs(temporal, ALL_OPEN_RUNS, REVOKE_SIGNAL, said.model_dump(mode="json"), told)
        await asyncio.gather(telling, asyncio.sleep(HEARD_WITHIN.total_seconds()))

    with session.output.progress(f"telling the runs of {name}"):
        session.run(until_known())
    shown = [(kind, name), ("revoked by", said.by), ("runs told", str(told.runs)), ("ledger", in_ledger)]
    session.output.result({**to_jsonable_python(told), "in_ledger": in_ledger}, facts(shown))
    if failed is not None:
        session.output.note(f"approved writes go on, as it is not in the ledger: {failed}")
        raise typer.Exit(failed.code)
    if told.problems:
        lines = "; ".join(told.problems[:5])
        session.output.note(f"{len(told.problems)} runs could not be told: {lines}. Try again.")
        raise typer.Exit(ExitCode.REFUSED)


def _said(*, by: str, reason: str, kid: str | None = None, delegation: str | None = None) -> Revocation:
    try:
        return Revocation(kid=kid, delegation=delegation, by=by, reason=reason)
    except ValidationError as error:
        raise misused(describe_errors(error)) from None


def _in_ledger(session: Session, stop: str, by: str, reason: str, ledger: str | None) -> str | None:
    """Write a stop into the ledger, if one is at hand; answer what came of it."""
    try:
        with existing(session, ledger_url(ledger)) as place:
            namespace = namespace_of(session.connection)
            is_new = session.run(tried(lambda: place.stop(namespace, stop, by=by, reason=reason)))
    except CommandFailed as failed:
        if failed.code != ExitCode.NOT_FOUND or ledger or os.environ.get(LEDGER_VARIABLE):
            raise
        session.output.note(
            "no effect ledger is at hand: writes that rest on it and are approved already go on; give "
            f"--ledger or {LEDGER_VARIABLE}"
        )
        return None
    except ValueError as error:
        raise misused(str(error)) from None
    return "revoked" if is_new else "revoked before"
