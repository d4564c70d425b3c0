"""``agentflow freeze``, ``unfreeze`` and ``freezes``."""

from collections.abc import Mapping
from typing import Annotated

import typer
from pydantic import ValidationError
from pydantic_core import to_jsonable_python
from rich.console import RenderableType

from agentflow.adapters.broadcast import Told
from agentflow.adapters.freezes import Freezes, Frozen, WriteUnderWay
from agentflow.cli.connection import namespace_of
from agentflow.cli.exits import ExitCode, misused
from agentflow.cli.ledger_place import LedgerUrl, existing, ledger_url, shown_url
from agentflow.cli.options import AsJson, By
from agentflow.cli.outcome import when
from agentflow.cli.output import columns, safe, table
from agentflow.cli.own_key import span_of
from agentflow.cli.session import Session, open_session
from agentflow.contracts.freeze import Freeze
from agentflow.contracts.stops import Stop
from agentflow.contracts.wire import Json
from agentflow.core.answer import describe_errors
from agentflow.ports.ledger import EffectLedger

Fleet = Annotated[bool, typer.Option("--fleet", help="All runs of the namespace.")]
Agent = Annotated[str | None, typer.Option("--agent", metavar="NAME", help="All runs of this agent.")]
Tenant = Annotated[str | None, typer.Option("--tenant", metavar="NAME", help="All runs of this tenant.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is recorded.")]
Wait = Annotated[
    str,
    typer.Option(
        "--wait", metavar="TIME", help="How long to wait for writes that are under way, such as 30s."
    ),
]


def freeze(
    context: typer.Context,
    *,
    by: By,
    fleet: Fleet = False,
    agent: Agent = None,
    tenant: Tenant = None,
    reason: Reason = "",
    wait: Wait = "30s",
    ledger: LedgerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Deny all writes at once: of the runs at work, and of those to come. Reads go on.

    It is written into the effect ledger, which each write asks right before it
    acts. Then the command waits until every worker knows, and for the writes that
    were under way. Exit 0 if it is known that nothing more is written, 5 if
    something still may be: then it is listed.
    """
    with open_session(context, as_json=as_json) as session:
        wanted = _freeze_of({"fleet": fleet, "agent": agent, "tenant": tenant}, by, reason)
        limit, url = span_of(wait, "--wait"), ledger_url(ledger)
        with existing(session, url) as place, session.output.progress(f"freezing {wanted.key}"):
            found = session.run(_freezes(session, place).freeze(wanted, wait=limit))
        document = _document(session, found, url)
        session.output.result(document, *_frozen_views(found, document))
        _tell_problems(session, found)
        if found.unread:
            session.output.note(f"what was under way is not known: {found.unread}")
        if not found.is_final:
            session.output.note(
                "what is listed as under way may still have its effect. Freeze again to look again, or "
                "see `agentflow ledger list`"
            )
            raise typer.Exit(ExitCode.INCOMPLETE)


def unfreeze(
    context: typer.Context,
    *,
    by: By,
    fleet: Fleet = False,
    agent: Agent = None,
    tenant: Tenant = None,
    reason: Reason = "",
    ledger: LedgerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Let the rules decide again. A run that two freezes concern stays frozen by the other."""
    with open_session(context, as_json=as_json) as session:
        wanted = _freeze_of({"fleet": fleet, "agent": agent, "tenant": tenant}, by, reason)
        url = ledger_url(ledger)
        with existing(session, url) as place, session.output.progress(f"telling the runs of {wanted.key}"):
            told = session.run(_freezes(session, place).unfreeze(wanted))
        document = _document(session, told, url)
        already = "" if told.changed else ", as it was before"
        headline = safe(f"{told.key} is not frozen in {document['namespace']}{already}", "bold")
        session.output.result(document, headline, safe(_told(told)))
        _tell_problems(session, told)


def freezes(
    context: typer.Context,
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that have ended, and revoked keys; the newest first.")
    ] = False,
    ledger: LedgerUrl = None,
    as_json: AsJson = False,
) -> None:
    """List what is frozen, since when, by whom and why."""
    with open_session(context, as_json=as_json) as session:
        with existing(session, ledger_url(ledger)) as place:
            namespace = namespace_of(session.connection)
            held = session.run(_freezes(session, place).holding())
            found = list(session.run(place.stops_log(namespace, limit=1_000))) if everything else held
        view = _list_view(found, everything=everything) if found else safe("nothing is frozen")
        session.output.result({"freezes": found}, view)


def _freezes(session: Session, ledger: EffectLedger) -> Freezes:
    return Freezes(ledger, namespace_of(session.connection), session.connection.connect)


def _list_view(found: list[Stop], *, everything: bool) -> RenderableType:
    names = ("FROZEN", "SINCE", "BY", "REASON")
    rows = [(stop.key, when(stop.since), stop.by, stop.reason) for stop in found]
    if not everything:
        return table(names, rows)
    ends = [(when(stop.ended_at), stop.ended_by) if stop.ended_at else ("", "") for stop in found]
    return table((*names, "ENDED", "BY"), [(*row, *end) for row, end in zip(rows, ends, strict=True)])


def _document(session: Session, told: Told, url: str) -> dict[str, Json]:
    place = {"namespace": namespace_of(session.connection), "ledger": shown_url(url)}
    return {**to_jsonable_python(told), **place}


def _frozen_views(found: Frozen, document: Mapping[str, Json]) -> list[RenderableType]:
    already = "" if found.changed else ", as it was before"
    views: list[RenderableType] = [
        safe(f"{found.key} is frozen in {document['namespace']}{already}: no write begins any more", "bold"),
        safe(f"{_told(found)}; told or not, each write asks the ledger {document['ledger']}"),
    ]
    if found.writes:
        names = ("WRITE", "TOOL", "WORKFLOW ID", "UNTIL", "KEY")
        views.append(columns(names, map(_cells, found.writes)))
    return views


def _cells(write: WriteUnderWay) -> tuple[str, ...]:
    until = when(write.until) if write.until else ""
    return (write.state, write.tool, write.workflow_id, until, write.key)


def _told(told: Told) -> str:
    match told.runs:
        case 0:
            return "no run at work was told"
        case 1:
            return "1 run at work was told"
        case _:
            return f"{told.runs} runs at work were told"


def _tell_problems(session: Session, told: Told) -> None:
    if told.problems:
        lines = "; ".join(told.problems[:5])
        session.output.note(f"{lines}: who was not told finds out at its next write")


def _freeze_of(named: Mapping[str, str | bool | None], by: str, reason: str) -> Freeze:
    chosen = [
        (scope, "" if name is True else name) for scope, name in named.items() if name not in (None, False)
    ]
    if len(chosen) != 1:
        raise misused("say what: one of --fleet, --agent NAME and --tenant NAME")
    ((scope, name),) = chosen
    try:
        return Freeze.model_validate({"scope": scope, "name": name, "by": by, "reason": reason})
    except ValidationError as error:
        raise misused(describe_errors(error)) from None
