"""``agentflow ledger purges``: what a ledger forgot, by whom, and what it refused to forget."""

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import RenderableType

from agentflow.cli.ledger_place import LedgerUrl, existing, ledger_url
from agentflow.cli.options import AsJson
from agentflow.cli.outcome import when
from agentflow.cli.output import columns, safe
from agentflow.cli.session import open_session
from agentflow.contracts.purges import MAX_PURGES, Purge
from agentflow.contracts.wire import Json

COLUMNS = ("AT", "NAMESPACE", "OLDER THAN", "FORGOTTEN", "KEPT", "BY", "REFUSED")


def list_purges(
    context: typer.Context,
    *,
    limit: Annotated[int, typer.Option(min=1, max=MAX_PURGES, help="At most so many.")] = 20,
    ledger: LedgerUrl = None,
    as_json: AsJson = False,
) -> None:
    """List what workers had the ledger forget, and what they refused to. The newest first."""
    with open_session(context, as_json=as_json) as session:
        with existing(session, ledger_url(ledger)) as place:
            purges = session.run(place.purges(limit=limit))
        view = _view(purges) if purges else safe("nothing was forgotten, and nothing refused")
        session.output.result({"purges": [_document(purge) for purge in purges]}, view)


def _view(purges: Sequence[Purge]) -> RenderableType:
    return columns(COLUMNS, map(_cells, purges))


def _cells(purge: Purge) -> tuple[object, ...]:
    return (
        when(purge.at),
        purge.namespace,
        when(purge.before),
        purge.forgotten,
        purge.kept,
        purge.by,
        safe(purge.refused, "bold red"),
    )


def _document(purge: Purge) -> dict[str, Json]:
    return dict(purge.model_dump())
