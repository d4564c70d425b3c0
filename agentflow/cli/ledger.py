"""``agentflow ledger``: the records of side effects, and those that a person must close."""

from typing import Annotated

import typer

from agentflow.adapters.ledgers import migrate as set_up
from agentflow.cli.asking import Yes, confirm
from agentflow.cli.decide import Roles
from agentflow.cli.ledger_adopt import adopt, info
from agentflow.cli.ledger_place import LedgerUrl, existing, ledger_url, missing_file, opened, shown_url
from agentflow.cli.ledger_purges import list_purges
from agentflow.cli.ledger_resolve import check_doubt, close_record, found, watch_seconds, watched, word_of
from agentflow.cli.ledger_seals import SealsFile, is_genuine, seal_keys
from agentflow.cli.ledger_view import Place, closing_commands, document, list_view, meaning, record_views
from agentflow.cli.options import AsJson, By, Result
from agentflow.cli.output import safe
from agentflow.cli.session import open_session
from agentflow.contracts.effects import EffectQuery, EffectState, EffectVerdict, StoredEffect
from agentflow.ports.ledger import EffectLedger

MAX_PAGE = 1_000

Key = Annotated[str, typer.Argument(metavar="KEY", help="The record's key, in full.")]

ledger_app: typer.Typer = typer.Typer(
    name="ledger", no_args_is_help=True, help="Show what writes came to, and close those that are in doubt."
)


ledger_app.command()(info)
ledger_app.command()(adopt)


@ledger_app.command("list")
def list_effects(
    context: typer.Context,
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that have ended or that a person has closed.")
    ] = False,
    state: Annotated[EffectState | None, typer.Option(help="Only in this state, open or not.")] = None,
    workflow_id: Annotated[str | None, typer.Option(metavar="ID", help="Only of this run.")] = None,
    tool: Annotated[str | None, typer.Option(metavar="NAME", help="Only of this tool.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 100,
    ledger: LedgerUrl = None,
    seals: SealsFile = None,
    as_json: AsJson = False,
) -> None:
    """List writes whose end is open: under way, abandoned, or unknown. The oldest first."""
    with open_session(context, as_json=as_json) as session:
        keys = seal_keys(seals)
        states = (state,) if state else ()
        query = EffectQuery(
            states=states, workflow_id=workflow_id, tool=tool, only_open=not (everything or states)
        )
        with existing(session, ledger_url(ledger)) as place:
            effects, is_cut = session.run(_find(place, query, limit))
        view = list_view(effects) if effects else safe("no such writes" if everything else "no open writes")
        session.output.result({"effects": [document(stored, keys) for stored in effects]}, view)
        if forged := [stored.record.key for stored in effects if is_genuine(stored, keys) is False]:
            session.output.note(
                f"{len(forged)} of them no worker of this fleet wrote, and runs do not act on them: "
                + ", ".join(forged)
            )
        if is_cut:
            session.output.note(f"there may be more: --limit is {limit}")


@ledger_app.command()
def show(
    context: typer.Context,
    key: Key,
    *,
    ledger: LedgerUrl = None,
    seals: SealsFile = None,
    as_json: AsJson = False,
) -> None:
    """Show one write: all that is known, what that means, and the commands that close it."""
    with open_session(context, as_json=as_json) as session:
        url, keys = ledger_url(ledger), seal_keys(seals)
        with existing(session, url) as place:
            stored = session.run(found(place, key))
        commands = closing_commands(stored, Place(session.connection, url), keys)
        shown = {**document(stored, keys), "meaning": meaning(stored, keys), "commands": commands}
        session.output.result(shown, *record_views(stored, keys, commands))


@ledger_app.command()
def resolve(
    context: typer.Context,
    key: Key,
    verdict: Annotated[
        EffectVerdict,
        typer.Argument(
            help="What the outside system shows: happened, did_not_happen; or abort: nobody will find out."
        ),
    ],
    *,
    by: By,
    result: Result = None,
    role: Roles = None,
    text: Annotated[str, typer.Option(metavar="TEXT", help="How you know; it is recorded.")] = "",
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Close the record also if Temporal can't say how its run stands."),
    ] = False,
    ledger: LedgerUrl = None,
    seals: SealsFile = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Say what became of a write in doubt. A run that waits for it goes on. Exit 1 if that doesn't count."""
    with open_session(context, as_json=as_json) as session:
        word, keys = word_of(verdict, by, text, result, role or ()), seal_keys(seals)
        with existing(session, ledger_url(ledger)) as place:
            stored = session.run(found(place, key))
            if seconds := session.run(watch_seconds(place, stored, keys)):
                with session.output.progress(f"{key} is dated ahead: watching it for {seconds:.0f} s"):
                    stored = session.run(watched(place, stored, seconds))
            check_doubt(stored, keys)
            session.output.show(*record_views(stored, keys))
            confirm(f"Say {verdict} as {by}?", yes=yes, otherwise="nothing was closed")
            with session.output.progress(f"closing {key}"):
                after = close_record(session, place, stored, word, keys, offline=offline)
        session.output.result(document(after, keys), *record_views(after, keys))


ledger_app.command("purges")(list_purges)


@ledger_app.command()
def migrate(context: typer.Context, *, ledger: LedgerUrl = None, as_json: AsJson = False) -> None:
    """Set the ledger up, or bring it up to date. Safe to run again."""
    with open_session(context, as_json=as_json) as session:
        url = ledger_url(ledger)
        with opened(session, url) as place:
            made = missing_file(place, url)
            did = session.run(set_up(place))
        if made and not did:
            did = [f"made {made}"]
        said = "; ".join(did) or "it was up to date"
        session.output.result(
            {"ledger": shown_url(url), "did": did}, safe(f"{shown_url(url)} is ready: {said}")
        )


async def _find(ledger: EffectLedger, query: EffectQuery, limit: int) -> tuple[list[StoredEffect], bool]:
    """The first records that a query finds, and whether there may be more."""
    effects: list[StoredEffect] = []
    cursor = None
    while len(effects) < limit:
        page = await ledger.find(query, limit=min(MAX_PAGE, limit - len(effects)), cursor=cursor)
        effects += page.effects
        cursor = page.cursor
        if cursor is None:
            break
    return effects, cursor is not None
