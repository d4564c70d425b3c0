"""``agentflow approvals``: what waits for people, over all runs."""

import asyncio
from typing import Annotated

import typer
from temporalio.service import RPCError, RPCStatusCode

from agentflow.cli.approval_options import Limit, approval_filter
from agentflow.cli.approval_views import run_views, short_table
from agentflow.cli.approvals_batch import deciding_on_all
from agentflow.cli.default_command import WithList
from agentflow.cli.failures import answer_of
from agentflow.cli.option_groups import taking
from agentflow.cli.options import AsJson
from agentflow.cli.output import safe
from agentflow.cli.session import open_session
from agentflow.contracts.wire import ApprovalId
from agentflow.inbox import ApprovalFilter, Inbox, RunApprovals

approvals_app: typer.Typer = typer.Typer(
    name="approvals",
    cls=WithList,
    help="Show what waits for people (list, which is also meant where no command is), and decide on it.",
)
approvals_app.command(
    "approve",
    help="Approve many pending actions, each exactly as it is shown. Exit 1 if one of them didn't count.",
)(deciding_on_all("approve"))
approvals_app.command("reject", help="Reject many pending actions. Exit 1 if one of them didn't count.")(
    deciding_on_all("reject")
)


@approvals_app.command("list")
@taking("wanted", approval_filter)
def list_approvals(
    context: typer.Context,
    workflow_id: Annotated[
        str | None, typer.Argument(metavar="[WORKFLOW_ID]", help="One run; else all that wait.")
    ] = None,
    *,
    wanted: ApprovalFilter,
    limit: Limit = 1_000,
    short: Annotated[bool, typer.Option("--short", help="A line for each.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the actions that wait for people: exactly what would be done, and how to approve it."""
    with open_session(context, as_json=as_json) as session:
        client = session.client()
        if workflow_id:
            asked = answer_of(workflow_id, client.pending_approvals(workflow_id))
            found = [RunApprovals(workflow_id, approvals=session.run(asked))]
        else:
            found = session.run(Inbox(client).pending(wanted, limit=limit))
            if len(found) == limit:
                session.output.note(f"there may be more: --limit is {limit}")
        for run in found:
            if run.problem:
                session.output.note(f"{run.workflow_id}: {run.problem}")
        views = [short_table(found)] if short else run_views(found)
        session.output.result({"runs": found}, *views)


@approvals_app.command()
@taking("wanted", approval_filter)
def watch(
    context: typer.Context,
    *,
    wanted: ApprovalFilter,
    limit: Limit = 1_000,
    every: Annotated[float, typer.Option(min=0.2, max=3_600, help="Seconds between looks.")] = 2.0,
    as_json: AsJson = False,
) -> None:
    """Show what waits for people, and keep it up to date until Ctrl-C.

    On a terminal a list that changes; elsewhere, and as JSON, a line for each action that comes or goes.
    """
    with open_session(context, as_json=as_json) as session:
        inbox = Inbox(session.client())
        known: dict[tuple[str, ApprovalId], str] = {}
        with session.output.screen() as screen:
            while True:
                try:
                    found = session.run(inbox.pending(wanted, limit=limit))
                except RPCError as error:
                    if error.status not in (RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED):
                        raise
                    screen.draw(safe(f"Temporal doesn't answer: {error.message}", "red"))
                    session.run(asyncio.sleep(every))
                    continue
                now = {
                    (run.workflow_id, request.id): request.sentence or request.tool
                    for run in found
                    for request in run.approvals
                }
                come = [key for key in now if key not in known]
                gone = [key for key in known if key not in now]
                for event, keys in (("pending", come), ("gone", gone)):
                    for run_id, approval_id in keys:
                        action = now.get((run_id, approval_id)) or known[run_id, approval_id]
                        line = {"event": event, "workflow_id": run_id, "approval_id": approval_id}
                        screen.tell({**line, "action": action}, f"{event}  {run_id}  {approval_id}  {action}")
                heading = safe(f"{len(now)} pending; Ctrl-C ends", "dim")
                screen.draw(short_table(found), heading)
                known = now
                session.run(asyncio.sleep(every))
