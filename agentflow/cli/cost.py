"""``agentflow cost``: what runs cost, and what a success costs."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Literal

import typer
from temporalio.client import Client
from temporalio.service import RPCError

from agentflow.adapters.run_timeline import model_costs
from agentflow.cli.exits import misused
from agentflow.cli.options import AsJson
from agentflow.cli.output import safe, table
from agentflow.cli.own_key import span_of
from agentflow.cli.session import open_session
from agentflow.cli.visibility import RunRow, find_runs, runs_query, with_spending
from agentflow.core.costs import CostLine, RunCost, cost_lines, total_line
from agentflow.core.words import dollars

READ_AT_ONCE = 8
OTHER = "(tools, and attempts that may have been billed)"
"""Of a run's cost, what no model call that ended stands for."""

By = Literal["agent", "release", "tenant", "model"]
COLUMNS = ("RUNS", "COMPLETED", "COST", "CPSC")


def cost(
    context: typer.Context,
    *,
    by: Annotated[By, typer.Option(help="Group by; by model reads the history of each run.")] = "agent",
    since: Annotated[
        str, typer.Option(metavar="TIME", help="Runs that began in this time, such as 7d or 12h.")
    ] = "7d",
    agent: Annotated[str | None, typer.Option(metavar="NAME", help="Only of this agent.")] = None,
    tenant: Annotated[str | None, typer.Option(metavar="NAME", help="Only of this tenant.")] = None,
    query: Annotated[
        str | None, typer.Option(metavar="QUERY", help="And this visibility query, in Temporal's language.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="Of at most so many runs.")] = 10_000,
    as_json: AsJson = False,
) -> None:
    """Say what runs cost, and the cost per successful completion (CPSC): failed runs are paid for, too.

    Every cent that was settled counts, however a run ended, and what may be billed of calls that nobody heard
    the end of.
    """
    with open_session(context, as_json=as_json) as session:
        try:
            begun = datetime.now(UTC) - span_of(since, "--since")
        except OverflowError:
            raise misused("--since is longer than time itself") from None
        window = f"StartTime >= '{begun.isoformat(timespec='seconds')}'"
        wanted = runs_query(agent=agent, tenant=tenant, extra=f"{window} AND ({query})" if query else window)
        client = session.client().temporal
        with session.output.progress("adding up runs"):
            found = session.run(with_spending(client, session.run(find_runs(client, wanted, limit))))
            costs = session.run(model_shares(client, found)) if by == "model" else _by(found, by)
        lines, total = cost_lines(costs), total_line(costs)
        if len(found) == limit:
            session.output.note(f"there may be more: --limit is {limit}")
        shown = table((by.upper(), *COLUMNS), map(_cells, [*lines, total])) if lines else safe("no runs")
        session.output.result({"by": by, "since": begun, "lines": lines, "total": total}, shown)


def _by(found: Sequence[RunRow], by: By) -> list[RunCost]:
    return [_share(run, _group(run, by), run.cost_usd or Decimal(0)) for run in found]


def _group(run: RunRow, by: By) -> str:
    if by == "release":
        return f"{run.agent} {run.release}"
    return (run.agent if by == "agent" else run.tenant) or ""


async def model_shares(client: Client, found: Sequence[RunRow]) -> list[RunCost]:
    """What runs cost, by the models that answered."""
    free = asyncio.Semaphore(READ_AT_ONCE)

    async def one(run: RunRow) -> list[RunCost]:
        async with free:
            return await _models_of(client, run)

    return [share for shares in await asyncio.gather(*map(one, found)) for share in shares]


async def _models_of(client: Client, run: RunRow) -> list[RunCost]:
    """A run's cost by model, by its history; it adds up to what the run says."""
    left, by_model = run.cost_usd or Decimal(0), dict[str, Decimal]()
    try:
        answers = await model_costs(client, run.workflow_id, run.run_id)
    except RPCError:
        # Its history is gone by now; visibility still knows what it cost.
        return [_share(run, "(history gone)", left)]
    for model, spent in answers:
        by_model[model] = by_model.get(model, Decimal(0)) + spent
        left -= spent
    if left > 0:
        by_model[OTHER] = left
    return [_share(run, model, spent) for model, spent in by_model.items()]


def _share(run: RunRow, group: str, spent: Decimal) -> RunCost:
    return RunCost(group, run.workflow_id, spent, run.status == "completed")


def _cells(line: CostLine) -> tuple[object, ...]:
    cpsc = "" if line.cpsc_usd is None else dollars(line.cpsc_usd)
    style = "bold" if line.group == "all" else ""
    return safe(line.group, style), line.runs, line.completed, dollars(line.cost_usd), cpsc
