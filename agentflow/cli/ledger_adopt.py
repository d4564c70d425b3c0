"""``agentflow ledger info`` and ``adopt``: which ledger it is, and what one lacks that was moved."""

from typing import Annotated

import typer
from pydantic import ValidationError

from agentflow.cli.asking import Yes, confirm
from agentflow.cli.exits import misused, refused
from agentflow.cli.ledger_place import LedgerUrl, existing, ledger_url, shown_url
from agentflow.cli.options import AsJson, By
from agentflow.cli.output import safe
from agentflow.cli.session import Session, open_session
from agentflow.contracts.ledger import Adoption, LedgerIdentity
from agentflow.core.answer import describe_errors
from agentflow.core.visible import visible
from agentflow.errors import LedgerMovedError


def info(context: typer.Context, *, ledger: LedgerUrl = None, as_json: AsJson = False) -> None:
    """Show which ledger it is, and which ones it stands for. Exit 1 if no operator has adopted it."""
    with open_session(context, as_json=as_json) as session:
        url = ledger_url(ledger)
        with existing(session, url) as place:
            try:
                session.run(place.check())
            except LedgerMovedError as error:
                raise refused(str(error)) from None
            identity = session.run(place.identity())
        _show(session, url, identity)


def adopt(
    context: typer.Context,
    *,
    by: By,
    nothing_missing: Annotated[
        bool, typer.Option("--nothing-missing", help="It was moved, and has each record that was written.")
    ] = False,
    missing: Annotated[
        str, typer.Option("--missing", metavar="TEXT", help="What may be missing: 'all since 12:00', say.")
    ] = "",
    instead_of: Annotated[
        str | None,
        typer.Option("--instead-of", metavar="ID", help="A ledger that is lost, which this one stands for."),
    ] = None,
    trust_failovers: Annotated[
        bool,
        typer.Option(
            "--trust-failovers",
            help="PostgreSQL: replication is synchronous, so a standby that takes over has lost nothing.",
        ),
    ] = False,
    ledger: LedgerUrl = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Say what a ledger lacks that was moved, copied or restored: until then no write uses it.

    Runs go on with it. Where something may be missing, they ask a person, or the outside system, about each
    write that has no record and that they may have made.
    """
    with open_session(context, as_json=as_json) as session:
        if nothing_missing == bool(missing.strip()):
            raise misused("say either --nothing-missing or --missing TEXT: what was written and isn't there")
        try:
            adoption = Adoption(
                by=by, lost=missing.strip(), instead_of=instead_of, trust_failovers=trust_failovers
            )
        except ValidationError as error:
            raise misused(f"this is no word on a ledger: {describe_errors(error)}") from None
        url = ledger_url(ledger)
        with existing(session, url) as place:
            said = f"may lack {missing.strip()}" if missing.strip() else "lacks nothing"
            confirm(
                f"Say as {by} that {shown_url(url)} {said}?", yes=yes, otherwise="the ledger stays as it is"
            )
            try:
                identity = session.run(place.adopt(adoption))
            except ValueError as error:
                raise misused(str(error)) from None
        _show(session, url, identity)


def _show(session: Session, url: str, identity: LedgerIdentity) -> None:
    lines = [f"ledger {identity.id} at {shown_url(url)}"]
    lines += [
        f"stands for {one.id}, of which there may be missing: {one.lost} "
        f"(says {one.by}, {one.at:%Y-%m-%d %H:%M}Z)"
        for one in identity.stands_for
    ]
    document = {"ledger": shown_url(url), **identity.model_dump(mode="json")}
    session.output.result(document, *(safe(visible(line)) for line in lines))
