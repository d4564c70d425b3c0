"""``agentflow resolve``."""

import asyncio
from typing import Annotated, Literal

import typer
from pydantic import ValidationError

from agentflow.cli.exits import CommandFailed, ExitCode, misused, refused
from agentflow.cli.failures import answer_of
from agentflow.cli.json_input import read_json
from agentflow.cli.options import AsJson, By, WorkflowId
from agentflow.cli.output import safe
from agentflow.cli.session import open_session
from agentflow.client import AgentClient
from agentflow.contracts.escalation import Escalation, Resolution
from agentflow.contracts.rules import DecisionRecord
from agentflow.core.answer import describe_errors

RECORD_TIMEOUT_SECONDS = 15.0
POLL_SECONDS = 0.2

Action = Literal["guide", "answer", "abort"]


def resolve(
    context: typer.Context,
    workflow_id: WorkflowId,
    action: Annotated[
        Action,
        typer.Argument(help="guide the model, answer in its place, or abort: end the run as escalated."),
    ],
    *,
    by: By,
    text: Annotated[str, typer.Option(metavar="TEXT", help="What the model is told, or why.")] = "",
    answer: Annotated[
        str | None, typer.Option(metavar="JSON|@FILE|-", help="The answer, for the action answer.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take over an escalated run. Exit 1 if that doesn't count."""
    with open_session(context, as_json=as_json) as session:
        resolution = _resolution(action, by, text, answer)
        client = session.client()
        with session.output.progress(f"resolving {workflow_id}"):
            record = session.run(_resolve(client, workflow_id, resolution))
        if not record.accepted:
            raise refused(record.detail)
        session.output.result(record, safe(f"accepted: {record.detail}"))


def _resolution(action: Action, by: str, text: str, answer: str | None) -> Resolution:
    if (action == "answer") != (answer is not None):
        raise misused("give --answer with the action answer, and only with it")
    value = None if answer is None else read_json("--answer", answer)
    try:
        return Resolution(action=action, by=by, text=text, answer=value)
    except ValidationError as error:
        raise misused(f"this is no resolution: {describe_errors(error)}") from None


async def _resolve(client: AgentClient, workflow_id: str, resolution: Resolution) -> DecisionRecord:
    """Send the signal, and find in the decision log what became of it: a signal has no answer."""
    escalation = await _open_escalation(client, workflow_id)
    before = set(await _log(client, workflow_id))
    bound = resolution.model_copy(update={"escalation_id": escalation.id})
    await client.resolve(workflow_id, bound)
    try:
        async with asyncio.timeout(RECORD_TIMEOUT_SECONDS):
            records = _ours(await _log(client, workflow_id), before, bound)
            while not records:
                await asyncio.sleep(POLL_SECONDS)
                records = _ours(await _log(client, workflow_id), before, bound)
            return records[0]
    except (TimeoutError, CommandFailed):
        raise CommandFailed(
            ExitCode.UNREACHABLE,
            f"the resolution was sent, but no worker has taken it up yet: see `agentflow status "
            f"{workflow_id} --decisions`",
        ) from None


async def _open_escalation(client: AgentClient, workflow_id: str) -> Escalation:
    status = await answer_of(workflow_id, client.status(workflow_id))
    if status.escalation is None:
        raise refused(f"nothing is escalated in {workflow_id} ({status.state}); nothing was sent")
    return status.escalation


async def _log(client: AgentClient, workflow_id: str) -> list[DecisionRecord]:
    return await answer_of(workflow_id, client.decisions(workflow_id))


def _ours(
    log: list[DecisionRecord], before: set[DecisionRecord], resolution: Resolution
) -> list[DecisionRecord]:
    """New lines about our resolution. Lines carry the time, so that no two are the same."""
    return [
        record
        for record in log
        if record.subject == "resolution" and record.by == resolution.by and record not in before
    ]
