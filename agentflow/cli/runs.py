"""``agentflow runs``."""

from typing import Annotated

import typer

from agentflow.cli.options import AsJson
from agentflow.cli.outcome import STYLES, when
from agentflow.cli.output import safe, table
from agentflow.cli.session import open_session
from agentflow.cli.visibility import RunFilter, RunRow, find_runs, runs_query, with_spending
from agentflow.core.words import dollars

COLUMNS = ("WORKFLOW ID", "AGENT", "STATUS", "TENANT", "RELEASE", "COST", "APPROVALS", "STARTED")


def runs(
    context: typer.Context,
    *,
    agent: Annotated[str | None, typer.Option(metavar="NAME", help="Only of this agent.")] = None,
    status: Annotated[
        RunFilter | None, typer.Option(help="Only in this state, or with this outcome.")
    ] = None,
    tenant: Annotated[str | None, typer.Option(metavar="NAME", help="Only of this tenant.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the newest first.")] = 50,
    query: Annotated[
        str | None, typer.Option(metavar="QUERY", help="And this visibility query, in Temporal's language.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List runs that a worker has taken up, the newest first.

    Visibility follows the runs by a moment. The cost is what a run has settled by now, and what may be billed
    of calls that nobody heard the end of.
    """
    with open_session(context, as_json=as_json) as session:
        wanted = runs_query(agent=agent, status=status, tenant=tenant, extra=query)
        client = session.client().temporal
        found = session.run(with_spending(client, session.run(find_runs(client, wanted, limit))))
        view = table(COLUMNS, map(_cells, found)) if found else safe("no runs")
        session.output.result({"runs": found}, view)
        if len(found) == limit:
            session.output.note(f"there may be more: --limit is {limit}")


def _cells(run: RunRow) -> tuple[object, ...]:
    return (
        run.workflow_id,
        run.agent or "",
        safe(run.status, STYLES.get(run.status, "" if run.closed is None else "red")),
        run.tenant or "",
        run.release or "",
        "" if run.cost_usd is None else dollars(run.cost_usd),
        run.pending_approvals or "",
        when(run.started),
    )
