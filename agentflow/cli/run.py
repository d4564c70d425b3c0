"""``agentflow run``."""

import asyncio
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from agentflow.cli.exits import CommandFailed, ExitCode, misused
from agentflow.cli.failures import answer_of
from agentflow.cli.json_input import read_json
from agentflow.cli.options import AsJson
from agentflow.cli.outcome import outcome_views
from agentflow.cli.output import Progress, safe
from agentflow.cli.own_key import KeyFile, own_key
from agentflow.cli.session import Session, open_session
from agentflow.client import AgentClient
from agentflow.contracts.escalation import RunStatus
from agentflow.contracts.outcome import AgentOutcome
from agentflow.contracts.task import AgentTask
from agentflow.core.answer import describe_errors

POLL_SECONDS = 1.0


def run(
    context: typer.Context,
    workflow_type: Annotated[
        str, typer.Argument(metavar="WORKFLOW_TYPE", help="The agent's workflow type: its class name.")
    ],
    *,
    task_queue: Annotated[str, typer.Option(metavar="NAME", help="Where its workers listen.")],
    given: Annotated[
        str,
        typer.Option("--input", metavar="JSON|@FILE|-", help="JSON, a file of it, or standard input."),
    ],
    requested_by: Annotated[
        str,
        typer.Option(metavar="NAME", help="Who asks for the run; may not approve its actions."),
    ],
    tenant: Annotated[str, typer.Option(metavar="NAME", help="For isolation and reports.")] = "default",
    customer_tier: Annotated[
        str, typer.Option(metavar="NAME", help="The customer's own tier; rules may read it.")
    ] = "standard",
    workflow_id: Annotated[
        str | None,
        typer.Option("--id", metavar="WORKFLOW_ID", help="Names the case, so that it can't start twice."),
    ] = None,
    signed: Annotated[
        bool,
        typer.Option("--signed", help="Sign the start with your key."),
    ] = False,
    key_file: KeyFile = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the outcome; exit 1 unless it is completed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Start a run, and print its workflow id."""
    with open_session(context, as_json=as_json) as session:
        task = _task(read_json("--input", given), requested_by, tenant, customer_tier)
        client = session.client()
        started = session.run(
            client.start(
                workflow_type,
                task,
                task_queue=task_queue,
                workflow_id=workflow_id,
                signer=own_key(key_file) if signed else None,
            )
        )
        if not wait:
            session.output.result({"workflow_id": started}, safe(started))
            return
        _wait(session, client, started)


def _task(value: Any, requested_by: str, tenant: str, customer_tier: str) -> AgentTask[Any]:
    try:
        return AgentTask[Any](
            input=value, requested_by=requested_by, tenant=tenant, customer_tier=customer_tier
        )
    except ValidationError as error:
        raise misused(f"this is no task: {describe_errors(error)}") from None


def _wait(session: Session, client: AgentClient, workflow_id: str) -> None:
    # Said at once: who stops waiting needs the id.
    session.output.note(f"started {workflow_id}")
    with session.output.progress("starting") as progress:
        outcome = session.run(_outcome(client, workflow_id, progress))
    session.output.result({"workflow_id": workflow_id, "outcome": outcome}, *outcome_views(outcome))
    if outcome.status != "completed":
        raise typer.Exit(ExitCode.REFUSED)


async def _outcome(client: AgentClient, workflow_id: str, progress: Progress) -> AgentOutcome[Any]:
    """The run's outcome; until it is there, tell where the run stands."""
    ended = asyncio.create_task(client.result(workflow_id, object))
    try:
        while not ended.done():
            await asyncio.wait({ended}, timeout=POLL_SECONDS)
            if not ended.done():
                progress.update(await _where(client, workflow_id))
        return await ended
    finally:
        ended.cancel()
        # Its own failure, if any, is the reason we are here; unread it would be logged as lost.
        await asyncio.gather(ended, return_exceptions=True)


async def _where(client: AgentClient, workflow_id: str) -> str:
    try:
        status: RunStatus = await answer_of(workflow_id, client.status(workflow_id))
    except CommandFailed as failed:
        # A worker that starts later will do; the run waits for it, and so do we.
        return str(failed)
    said = f"{status.state.replace('_', ' ')}, turn {status.turn}"
    match status.state:
        case "waiting_for_approval":
            return f"{said} (see `agentflow approvals {workflow_id}`)"
        case "escalated":
            return f"{said}: {status.detail} (see `agentflow status {workflow_id}`)"
        case _:
            return said
