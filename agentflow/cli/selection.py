"""Which runs a command is about: by id, by query, or from files."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from temporalio.client import Client

from agentflow.adapters.visibility import quoted
from agentflow.audit.selection import RunId, SelectedRun, from_histories, from_server
from agentflow.cli.exits import CommandFailed, ExitCode, misused
from agentflow.cli.failures import RPC_TIMEOUT
from agentflow.cli.histories import read_histories
from agentflow.cli.own_key import span_of
from agentflow.cli.session import Session
from agentflow.contracts import names

PAGE = 1_000

OneRun = Annotated[str | None, typer.Argument(metavar="[WORKFLOW_ID]", help="A run on the server.")]
Runs = Annotated[list[str] | None, typer.Argument(metavar="[WORKFLOW_ID]…", help="Runs on the server.")]
Query = Annotated[
    str | None,
    typer.Option(metavar="QUERY", help="All runs that this visibility query finds, in Temporal's language."),
]
Files = Annotated[
    list[Path] | None, typer.Option("--file", metavar="HISTORY.json", help="A history; as often as needed.")
]
Directory = Annotated[
    Path | None,
    typer.Option("--dir", metavar="DIR", help="All *.json there: histories.", file_okay=False, exists=True),
]


@dataclass(frozen=True)
class Selection:
    """What a command was asked for."""

    words: str
    """As the manifest says it."""
    runs: AsyncIterator[SelectedRun]


def select(
    session: Session,
    runs: Sequence[str],
    query: str | None,
    files: Sequence[Path] = (),
    directory: Path | None = None,
) -> Selection:
    """The runs that are asked for, in one of the three ways.

    Raises:
        CommandFailed: none or two of them, or the query finds nothing.
    """
    if sum(map(bool, (runs, query, files or directory))) != 1:
        raise misused("say which runs: WORKFLOW_IDs, --query, or --file and --dir; one of these")
    if files or directory:
        histories = [each.history for each in read_histories(files, directory)]
        return Selection(f"{len(histories)} histories from files", from_histories(histories))
    client = session.client().temporal
    if query:
        with session.output.progress("looking for runs"):
            found = session.run(_found(client, query))
        if not found:
            raise CommandFailed(ExitCode.NOT_FOUND, f"no run fits {query}")
        return Selection(query, from_server(client, found))
    named = [(run, None) for run in runs]
    return Selection(", ".join(runs), from_server(client, named, children=True))


async def first_run(selection: Selection) -> SelectedRun:
    """The run of a command that is about one.

    Raises:
        CommandFailed: there is none.
    """
    async for run in selection.runs:
        return run
    raise misused("there is no run in it")


def window(since: str, until: str | None, *, tenant: str | None, agent: str | None) -> str:
    """The query for runs of a time, which began in it, ended in it, or went on all the while.

    Args:
        since: How long ago it began, such as ``2d``, or when, in ISO 8601.
        until: The same of its end; ``None`` is now.
        tenant: Only of this tenant.
        agent: Only of this agent.

    Raises:
        CommandFailed: a time is none.
    """
    begin = _time(since, "--since")
    terms = [f"(CloseTime IS NULL OR CloseTime >= {quoted(begin)})"]
    if until is not None:
        terms.append(f"StartTime <= {quoted(_time(until, '--until'))}")
    if tenant:
        terms.append(f"{names.AGENT_TENANT} = {quoted(tenant)}")
    terms.append(f"{names.AGENT_NAME} = {quoted(agent)}" if agent else f"{names.AGENT_NAME} IS NOT NULL")
    return " AND ".join(terms)


def _time(given: str, option: str) -> str:
    try:
        time = datetime.fromisoformat(given)
        if time.tzinfo is None:
            raise misused(f"{option} needs a time zone, such as 2026-05-01T10:00:00Z")
    except ValueError:
        try:
            time = datetime.now(UTC) - span_of(given, option)
        except OverflowError:
            raise misused(f"{option} is longer than time itself") from None
    return time.astimezone(UTC).isoformat(timespec="seconds")


async def _found(client: Client, query: str) -> list[RunId]:
    """All runs that a query finds, the oldest first; of one that continued as new, its last execution."""
    whole = f"({query}) AND ExecutionStatus != 'ContinuedAsNew'"
    found = [
        (execution.start_time, execution.id, execution.run_id)
        async for execution in client.list_workflows(whole, page_size=PAGE, rpc_timeout=RPC_TIMEOUT)
    ]
    return [(workflow_id, run_id) for _, workflow_id, run_id in sorted(found)]
