"""``agentflow replay``."""

from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer
from temporalio.client import Client, WorkflowHistory
from temporalio.service import RPCError, RPCStatusCode

from agentflow.adapters.visibility import quoted
from agentflow.audit.replaying import ReplayedRuns
from agentflow.cli.connection import client_plugin, namespace_of, silent_runtime
from agentflow.cli.divergence import Divergence, divergence_of
from agentflow.cli.exits import CommandFailed, ExitCode, misused
from agentflow.cli.failures import RPC_TIMEOUT
from agentflow.cli.histories import RecordedRun, load_agents, read_histories, recorded
from agentflow.cli.options import AsJson, Workflows
from agentflow.cli.output import Progress, safe, table
from agentflow.cli.project import workflows_of_project
from agentflow.cli.quiet import quiet_temporal
from agentflow.cli.selection import Directory, Files, OneRun, Query, select
from agentflow.cli.session import Session, open_session
from agentflow.contracts.names import AGENT_NAME
from agentflow.private_files import write_file

ReplayResult = Literal["ok", "lacking", "diverged", "unknown_type"]
"""``ok``: today's code does what the run did. ``lacking``: it does, but an open run is pinned to something
that it doesn't have, such as the code of a rule. ``diverged``: it doesn't, and open runs of this kind would
stand still. ``unknown_type``: no agent that was given has the run's workflow type."""

OTHERS_AT_MOST = 1_000
"""How many runs at work of other agents are counted."""

STYLES = {"ok": "green", "lacking": "yellow", "diverged": "red", "unknown_type": "red"}


@dataclass(frozen=True)
class Replayed:
    """What became of one history."""

    workflow_id: str
    workflow_type: str
    events: int
    source: str
    result: ReplayResult
    divergence: Divergence | None = None
    lacks: tuple[str, ...] = ()
    """What an open run is pinned to and today's code doesn't have."""


def replay(
    context: typer.Context,
    workflow_id: OneRun = None,
    *,
    file: Files = None,
    directory: Directory = None,
    query: Query = None,
    running: Annotated[
        bool, typer.Option("--running", help="All runs of the agents that are at work in the namespace.")
    ] = False,
    workflows: Workflows = None,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the history of WORKFLOW_ID here.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Replay runs against today's code, in the sandbox. Exit 1 if one would do something else.

    A run that isn't over replays as far as it got. Nothing is called, and nothing is changed. Before a
    deploy, --running says which runs at work it would stop, and why. Runs at work of agents that aren't
    among yours are counted: those of a class that was renamed or removed have no worker after the deploy.
    """
    with open_session(context, as_json=as_json) as session:
        if query and running:
            raise misused("--running is a query of its own: add its ExecutionStatus = 'Running' to --query")
        agents = load_agents(workflows or workflows_of_project())
        runs = _gather(session, workflow_id, file or [], directory, save)
        asked = _of_running(agents) if running else query
        found = _queried(session, asked, only_last=running) if asked else None
        if not runs and not asked:
            raise misused("say which runs to replay: a WORKFLOW_ID, --running, --query, --file or --dir")
        with session.output.progress("replaying") as progress, quiet_temporal():
            every = _every(runs, found)
            results = session.run(_replay_all(every, agents, namespace_of(session.connection), progress))
        others = session.run(_others_at_work(session.client().temporal, agents)) if running else {}
        for name, count in others.items():
            session.output.note(
                f"not replayed: {count} runs at work of {name}, which is none of these agents"
            )
        bad = [result for result in results if result.result != "ok"]
        session.output.result(
            {"histories": results, "ok": not bad, "others_at_work": others},
            table(("RESULT", "WORKFLOW TYPE", "EVENTS", "HISTORY", "WHY"), map(_cells, results)),
        )
        if bad:
            raise typer.Exit(ExitCode.REFUSED)


def _gather(
    session: Session,
    workflow_id: str | None,
    files: Sequence[Path],
    directory: Path | None,
    save: Path | None,
) -> list[RecordedRun]:
    if save and not workflow_id:
        raise misused("--save writes the history of a WORKFLOW_ID")
    runs = read_histories(files, directory)
    if not workflow_id:
        return runs
    handle = session.client().temporal.get_workflow_handle(workflow_id)
    with session.output.progress(f"fetching the history of {workflow_id}"):
        history = session.run(handle.fetch_history(rpc_timeout=RPC_TIMEOUT))
    if save:
        _write(save, history)
        session.output.note(f"wrote {save}")
    return [recorded(history, workflow_id), *runs]


def _of_running(agents: Collection[str]) -> str:
    """The query for the runs at work of agents."""
    return f"ExecutionStatus = 'Running' AND WorkflowType IN ({_types(agents)})"


def _types(agents: Collection[str]) -> str:
    return ", ".join(map(quoted, sorted(agents)))


async def _others_at_work(client: Client, agents: Collection[str]) -> dict[str, int]:
    """How many runs are at work of agents that weren't given, by workflow type.

    Another service's may be among them, so this refuses nothing.
    """
    query = (
        f"ExecutionStatus = 'Running' AND {AGENT_NAME} IS NOT NULL AND WorkflowType NOT IN ({_types(agents)})"
    )
    found = client.list_workflows(query, limit=OTHERS_AT_MOST, rpc_timeout=RPC_TIMEOUT)
    try:
        return dict(Counter([run.workflow_type async for run in found]))
    except RPCError as error:
        if error.status is RPCStatusCode.INVALID_ARGUMENT:
            # The namespace doesn't have agentflow's search attributes: no run of an agent can be told.
            return {}
        raise


def _queried(session: Session, query: str, *, only_last: bool) -> AsyncIterator[RecordedRun] | None:
    """The executions, as far as Temporal still has them, of the runs that a query finds, one after the other.

    Args:
        session: Of the command.
        query: In Temporal's language.
        only_last: Only a run's last execution: the ones before are over.
    """
    try:
        selection = select(session, (), query)
    except CommandFailed as error:
        if only_last and error.code is ExitCode.NOT_FOUND:
            # No run is at work: nothing can be stopped.
            return None
        raise

    async def found() -> AsyncIterator[RecordedRun]:
        async for run in selection.runs:
            executions = run.executions[-1:] if only_last else run.executions
            for execution in executions:
                if execution.history is not None:
                    yield recorded(execution.history, f"{run.workflow_id} {execution.run_id}")

    return found()


async def _every(
    runs: Sequence[RecordedRun], found: AsyncIterator[RecordedRun] | None
) -> AsyncIterator[RecordedRun]:
    for run in runs:
        yield run
    if found is not None:
        async for run in found:
            yield run


def _write(path: Path, history: WorkflowHistory) -> None:
    try:
        write_file(path, history.to_json().encode())
    except OSError as error:
        raise misused(f"--save: {path} can't be written: {error}") from error


async def _replay_all(
    runs: AsyncIterator[RecordedRun], agents: Mapping[str, type], namespace: str, progress: Progress
) -> list[Replayed]:
    results: list[Replayed] = []
    async with ReplayedRuns(
        list(agents.values()), namespace, plugin=client_plugin(), runtime=silent_runtime()
    ) as replayed:
        async for run in runs:
            progress.update(f"replaying {len(results) + 1}: {run.source}")
            results.append(await _replay(replayed, run, agents))
    return results


async def _replay(replayed: ReplayedRuns, run: RecordedRun, known: Collection[str]) -> Replayed:
    if not replayed.knows(run.workflow_type):
        told = Divergence(f"no agent has this workflow type; known: {', '.join(sorted(known))}")
        return _replayed(run, "unknown_type", told)
    told = await replayed.told(run.history.workflow_id, run.history)
    if told.failure:
        return _replayed(run, "diverged", divergence_of(told.failure))
    lacks = told.lacks if run.is_open else ()
    return _replayed(run, "lacking" if lacks else "ok", lacks=lacks)


def _replayed(
    run: RecordedRun,
    result: ReplayResult,
    divergence: Divergence | None = None,
    lacks: tuple[str, ...] = (),
) -> Replayed:
    return Replayed(
        workflow_id=run.history.workflow_id,
        workflow_type=run.workflow_type,
        events=len(run.history.events),
        source=run.source,
        result=result,
        divergence=divergence,
        lacks=lacks,
    )


def _cells(result: Replayed) -> tuple[object, ...]:
    return (
        safe(result.result.replace("_", " "), STYLES[result.result]),
        result.workflow_type,
        result.events,
        result.source,
        str(result.divergence or "; ".join(result.lacks)),
    )
