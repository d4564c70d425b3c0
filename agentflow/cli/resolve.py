"""``agentflow resolve``."""

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.console import RenderableType

from agentflow.cli.asking import Yes, confirm
from agentflow.cli.decide import Roles
from agentflow.cli.exits import refused
from agentflow.cli.failures import answer_of
from agentflow.cli.options import AsJson, By, Result, WorkflowId
from agentflow.cli.output import exact_json, facts, safe
from agentflow.cli.own_key import Delegation, KeyFile, signed_if_asked
from agentflow.cli.resolution import resolution_of, send
from agentflow.cli.session import open_session
from agentflow.client import AgentClient
from agentflow.contracts.escalation import Escalation, ResolutionAction


def resolve(
    context: typer.Context,
    workflow_id: WorkflowId,
    action: Annotated[
        ResolutionAction,
        typer.Argument(
            help="guide the model, answer in its place, or abort: end the run as escalated. "
            "Of a write in doubt: happened, did_not_happen or abort. Of a write that an earlier run "
            "of the workflow id made: count it, make it again, or abort."
        ),
    ],
    *,
    by: By,
    text: Annotated[str, typer.Option(metavar="TEXT", help="What the model is told, or why.")] = "",
    answer: Annotated[
        str | None, typer.Option(metavar="JSON|@FILE|-", help="The answer, for the action answer.")
    ] = None,
    result: Result = None,
    role: Roles = None,
    delegation: Delegation = None,
    key_file: KeyFile = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Take over an escalated run. Exit 1 if that doesn't count.

    Of a write in doubt, as many people with the same roles must say the same as its
    approval needed. Where answers are signed, it is signed with your key, and --by
    must be whose it is.
    """
    with open_session(context, as_json=as_json) as session:
        resolution = resolution_of(action, by, text, answer=answer, result=result, roles=role or ())
        client = session.client()
        escalation = session.run(_open_escalation(client, workflow_id))
        session.output.show(*_views(workflow_id, escalation))
        confirm(f"Say {action} as {by}?", yes=yes)
        bound = signed_if_asked(
            session, client, workflow_id, escalation, resolution, key_file=key_file, delegation=delegation
        )
        with session.output.progress(f"resolving {workflow_id}"):
            record = session.run(send(client, workflow_id, bound, escalation.identity))
        if not record.accepted:
            raise refused(record.detail)
        session.output.result(record, safe(f"accepted: {record.detail}"))


def _views(workflow_id: str, escalation: Escalation) -> Iterator[RenderableType]:
    """The answer is given to exactly this."""
    effect = escalation.effect
    in_doubt = [("in doubt", effect.tool), ("key", effect.key), ("known", effect.detail)] if effect else []
    yield facts([("run", workflow_id), ("escalation", escalation.id), ("why", escalation.reason), *in_doubt])
    if effect:
        yield exact_json(dict(effect.arguments))


async def _open_escalation(client: AgentClient, workflow_id: str) -> Escalation:
    status = await answer_of(workflow_id, client.status(workflow_id))
    if status.escalation is None:
        raise refused(f"nothing is escalated in {workflow_id} ({status.state}); nothing was sent")
    return status.escalation
