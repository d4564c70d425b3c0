"""``agentflow replay``."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer
from temporalio.client import WorkflowHistory

from agentflow.audit.replaying import ReplayedRuns
from agentflow.audit.selection import SelectedRun
from agentflow.cli.connection import client_plugin, namespace_of, silent_runtime
from agentflow.cli.divergence import Divergence, divergence_of
from agentflow.cli.exits import ExitCode, misused
from agentflow.cli.failures import RPC_TIMEOUT
from agentflow.cli.histories import RecordedRun, load_agents, read_histories, recorded
from agentflow.cli.options import AsJson, Workflows
from agentflow.cli.output import Progress, safe, table
from agentflow.cli.project import workflows_of_project
from agentflow.cli.quiet import quiet_temporal
from agentflow.cli.selection import Directory, Files, OneRun, Query, select
from agentflow.cli.session import Session, open_session
from agentflow.private_files import write_file

ReplayResult = Literal["ok", "diverged", "unknown_type"]
"""``ok``: today's code does what the run did. ``diverged``: it doesn't, and open runs of this kind would
fail. ``unknown_type``: no agent that was given has the run's workflow type."""

STYLES = {"ok": "green", "diverged": "red", "unknown_type": "red"}


@dataclass(frozen=True)
class Replayed:
    """What became of one history."""

    workflow_id: str
    workflow_type: str
    events: int
    source: str
    result: ReplayResult
    divergence: Divergence | None = None


def replay(
    context: typer.Context,
    workflow_id: OneRun = None,
    *,
    file: Files = None,
    directory: Directory = None,
    query: Query = None,
    workflows: Workflows = None,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the history of WORKFLOW_ID here.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Replay runs against today's code, in the sandbox. Exit 1 if one would do something else.

    A run that isn't over replays as far as it got. Nothing is called, and nothing is changed.
    """
    with open_session(context, as_json=as_json) as session:
        runs = _gather(session, workflow_id, file or [], directory, save)
        runs += _queried(session, query) if query else []
        if not runs:
            raise misused("say which runs to replay: a WORKFLOW_ID, --query, --file or --dir")
        agents = load_agents(workflows or workflows_of_project())
        with session.output.progress("replaying") as progress, quiet_temporal():
            results = session.run(_replay_all(runs, agents, namespace_of(session.connection), progress))
        bad = [result for result in results if result.result != "ok"]
        session.output.result(
            {"histories": results, "ok": not bad},
            table(("RESULT", "WORKFLOW TYPE", "EVENTS", "HISTORY", "FIRST DIVERGENCE"), map(_cells, results)),
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


def _queried(session: Session, query: str) -> list[RecordedRun]:
    """Every execution, as far as Temporal still has it, of the runs that a query finds."""
    selection = select(session, (), query)

    async def collected(runs: AsyncIterator[SelectedRun]) -> list[RecordedRun]:
        return [
            recorded(execution.history, f"{run.workflow_id} {execution.run_id}")
            async for run in runs
            for execution in run.executions
            if execution.history is not None
        ]

    with session.output.progress("fetching histories"):
        return session.run(collected(selection.runs))


def _write(path: Path, history: WorkflowHistory) -> None:
    try:
        write_file(path, history.to_json().encode())
    except OSError as error:
        raise misused(f"--save: {path} can't be written: {error}") from error


async def _replay_all(
    runs: Sequence[RecordedRun], agents: Mapping[str, type], namespace: str, progress: Progress
) -> list[Replayed]:
    results: list[Replayed] = []
    async with ReplayedRuns(
        list(agents.values()), namespace, plugin=client_plugin(), runtime=silent_runtime()
    ) as replayed:
        for number, run in enumerate(runs, start=1):
            progress.update(f"replaying {number} of {len(runs)}: {run.source}")
            results.append(await _replay(replayed, run, agents))
    return results


async def _replay(replayed: ReplayedRuns, run: RecordedRun, known: Collection[str]) -> Replayed:
    if not replayed.knows(run.workflow_type):
        told = Divergence(f"no agent has this workflow type; known: {', '.join(sorted(known))}")
        return _replayed(run, "unknown_type", told)
    failure = (await replayed.told(run.history.workflow_id, run.history)).failure
    return _replayed(run, "diverged", divergence_of(failure)) if failure else _replayed(run, "ok")


def _replayed(run: RecordedRun, result: ReplayResult, divergence: Divergence | None = None) -> Replayed:
    return Replayed(
        workflow_id=run.history.workflow_id,
        workflow_type=run.workflow_type,
        events=len(run.history.events),
        source=run.source,
        result=result,
        divergence=divergence,
    )


def _cells(result: Replayed) -> tuple[object, ...]:
    return (
        safe(result.result.replace("_", " "), STYLES[result.result]),
        result.workflow_type,
        result.events,
        result.source,
        str(result.divergence or ""),
    )
