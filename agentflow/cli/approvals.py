"""``agentflow approvals``."""

import asyncio
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.console import RenderableType

from agentflow.cli.exits import CommandFailed
from agentflow.cli.failures import answer_of
from agentflow.cli.options import AsJson
from agentflow.cli.output import exact_json, facts, safe
from agentflow.cli.session import open_session
from agentflow.cli.visibility import approvals_query, find_runs
from agentflow.client import AgentClient
from agentflow.contracts.approval import ApprovalRequest
from agentflow.core.approver_page import page
from agentflow.core.view import signing_command

CONCURRENT_RUNS = 8
"""Runs asked at the same time: each question makes a worker load a run."""
_STYLES = {"action": "bold", "at stake": "bold", "not counted": "yellow"}
SWEEP_TIMEOUT = timedelta(seconds=8)
"""For each of many runs; one without a worker must not hold up the list."""


@dataclass(frozen=True)
class RunApprovals:
    """The pending approvals of one run, or why they can't be told."""

    workflow_id: str
    approvals: Sequence[ApprovalRequest] = ()
    problem: str | None = None


def approvals(
    context: typer.Context,
    workflow_id: Annotated[
        str | None, typer.Argument(metavar="[WORKFLOW_ID]", help="One run; else all that wait.")
    ] = None,
    *,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Ask at most so many runs.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Show the actions that wait for people: exactly what would be done, and how to approve it."""
    with open_session(context, as_json=as_json) as session:
        client = session.client()
        if workflow_id:
            asked = answer_of(workflow_id, client.pending_approvals(workflow_id))
            found = [RunApprovals(workflow_id, session.run(asked))]
        else:
            with session.output.progress("asking the runs that wait for approvals"):
                found = session.run(_sweep(client, limit))
            if len(found) == limit:
                session.output.note(f"there may be more: --limit is {limit}")
        for run in found:
            if run.problem:
                session.output.note(run.problem)
        document = [
            {"workflow_id": run.workflow_id, "approvals": run.approvals, "problem": run.problem}
            for run in found
        ]
        session.output.result({"runs": document}, *_views(found))


def approval_views(workflow_id: str, request: ApprovalRequest) -> Iterator[RenderableType]:
    """One pending action, in full."""
    yield facts(
        [
            ("run", workflow_id),
            ("approval", safe(request.id, "bold")),
            *(
                (label, safe(text, _STYLES.get(label, "")))
                for label, text in page(request, datetime.now(UTC))
            ),
        ]
    )
    yield exact_json(request.arguments)


def _views(found: Sequence[RunApprovals]) -> Iterator[RenderableType]:
    for run in found:
        for request in run.approvals:
            yield from approval_views(run.workflow_id, request)
            yield safe(f"{_approve_command(run.workflow_id, request)}\n", "cyan")
    if not any(run.approvals for run in found):
        yield safe("no pending approvals")


def _approve_command(workflow_id: str, request: ApprovalRequest) -> str:
    """What approves exactly this action; with reject for approve, what rejects it."""
    if request.identity == "signed":
        return signing_command(workflow_id, request)
    words = ["agentflow", "approve", workflow_id, request.id, "--by", "YOUR_NAME"]
    if request.quorum.roles:
        words += ["--role", request.quorum.roles[0]]
    return shlex.join([*words, "--hash", request.arguments_hash])


async def _sweep(client: AgentClient, limit: int) -> list[RunApprovals]:
    """Ask all runs that wait, some at a time. One that can't be asked is reported, and no more."""
    free = asyncio.Semaphore(CONCURRENT_RUNS)

    async def ask(workflow_id: str) -> RunApprovals:
        async with free:
            try:
                asked = client.pending_approvals(workflow_id)
                return RunApprovals(workflow_id, await answer_of(workflow_id, asked, timeout=SWEEP_TIMEOUT))
            except CommandFailed as failed:
                return RunApprovals(workflow_id, problem=str(failed))

    waiting = await find_runs(client.temporal, approvals_query(), limit)
    return list(await asyncio.gather(*(ask(run.workflow_id) for run in waiting)))
