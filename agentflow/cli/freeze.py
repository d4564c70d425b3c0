"""``agentflow freeze``, ``unfreeze`` and ``freezes``."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from agentflow.adapters.broadcast import Told
from agentflow.adapters.freezes import Freezes
from agentflow.cli.exits import misused, refused
from agentflow.cli.options import AsJson, By
from agentflow.cli.outcome import when
from agentflow.cli.output import safe, table
from agentflow.cli.session import Session, open_session
from agentflow.contracts.freeze import Freeze
from agentflow.core.answer import describe_errors

Fleet = Annotated[bool, typer.Option("--fleet", help="All runs of the namespace.")]
Agent = Annotated[str | None, typer.Option("--agent", metavar="NAME", help="All runs of this agent.")]
Tenant = Annotated[str | None, typer.Option("--tenant", metavar="NAME", help="All runs of this tenant.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is recorded.")]

Change = Callable[[Freezes, Freeze], Coroutine[Any, Any, Told]]


def freeze(
    context: typer.Context,
    *,
    by: By,
    fleet: Fleet = False,
    agent: Agent = None,
    tenant: Tenant = None,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Deny all writes at once: of the runs at work, and of those to come. Reads go on.

    What is on its way to the outside already is not called back. Runs are looked
    for again for three seconds, as lists of runs lag. Exit 1 if a run could not
    be told.
    """
    with open_session(context, as_json=as_json) as session:
        wanted = _freeze_of({"fleet": fleet, "agent": agent, "tenant": tenant}, by, reason)
        _change(session, wanted, Freezes.freeze, "frozen")


def unfreeze(
    context: typer.Context,
    *,
    by: By,
    fleet: Fleet = False,
    agent: Agent = None,
    tenant: Tenant = None,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Let the rules decide again. A run that two freezes concern stays frozen by the other."""
    with open_session(context, as_json=as_json) as session:
        wanted = _freeze_of({"fleet": fleet, "agent": agent, "tenant": tenant}, by, reason)
        _change(session, wanted, Freezes.unfreeze, "not frozen")


def freezes(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List what is frozen, since when, by whom and why."""
    with open_session(context, as_json=as_json) as session:
        found = session.run(Freezes(session.client().temporal).open())
        rows = ((held.key, when(held.since), held.by, held.reason) for held in found)
        view = table(("FROZEN", "SINCE", "BY", "REASON"), rows) if found else safe("nothing is frozen")
        session.output.result({"freezes": found}, view)


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


def _change(session: Session, wanted: Freeze, change: Change, state: str) -> None:
    client = session.client().temporal
    with session.output.progress(f"telling the runs of {wanted.key}"):
        told = session.run(change(Freezes(client), wanted))
    already = "" if told.changed else ", as it was before"
    runs = "1 run was told" if told.runs == 1 else f"{told.runs} runs were told"
    session.output.result(told, safe(f"{told.key} is {state}{already}; {runs}", "bold"))
    if told.problems:
        lines = "; ".join(told.problems[:5])
        raise refused(f"{len(told.problems)} runs could not be told: {lines}. Try again.")
