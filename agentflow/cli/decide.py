"""``agentflow approve`` and ``agentflow reject``."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import typer
from pydantic import ValidationError

from agentflow.cli.approval_views import approval_views
from agentflow.cli.exits import CommandFailed, ExitCode, misused, refused
from agentflow.cli.failures import answer_of
from agentflow.cli.option_groups import Command
from agentflow.cli.options import AsJson, By, WorkflowId
from agentflow.cli.output import safe
from agentflow.cli.session import Session, open_session
from agentflow.client import AgentClient
from agentflow.contracts.approval import ApprovalDecision, ApprovalRequest, DecisionReceipt
from agentflow.contracts.wire import ApprovalId
from agentflow.core.answer import describe_errors
from agentflow.core.approval import Verdict
from agentflow.core.words import visible

ApprovalIdArgument = Annotated[str, typer.Argument(metavar="APPROVAL_ID", help="Such as approval-1.")]
Roles = Annotated[
    list[str] | None, typer.Option("--role", metavar="ROLE", help="A role you hold; as often as needed.")
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is recorded.")]
Hash = Annotated[
    str | None,
    typer.Option(
        "--hash", metavar="SHA256", help="Of the arguments you looked at: refuse if they are others by now."
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask for confirmation.")]


@dataclass(frozen=True)
class Said:
    """What the person at the shell says."""

    verdict: Verdict
    approval_id: str
    by: str
    roles: tuple[str, ...]
    reason: str
    arguments_hash: str | None
    """Of the arguments that the person looked at, if they say so."""


def deciding(verdict: Verdict) -> Command:
    """The command that says this of one action."""

    def decide_on(
        context: typer.Context,
        workflow_id: WorkflowId,
        approval_id: ApprovalIdArgument,
        *,
        by: By,
        role: Roles = None,
        reason: Reason = "",
        arguments_hash: Hash = None,
        yes: Yes = False,
        as_json: AsJson = False,
    ) -> None:
        said = Said(verdict, approval_id, by, tuple(role or ()), reason, arguments_hash)
        _decide(context, workflow_id, said, yes=yes, as_json=as_json)

    return decide_on


def _decide(context: typer.Context, workflow_id: str, said: Said, *, yes: bool, as_json: bool) -> None:
    def stated(request: ApprovalRequest) -> ApprovalDecision:
        if request.identity == "signed":
            raise refused(
                f"{workflow_id} takes signed decisions only: `agentflow approver {said.verdict} "
                f"{workflow_id} {request.id}`; nothing was sent"
            )
        return _bound_to(request, said)

    with open_session(context, as_json=as_json) as session:
        decide(session, workflow_id, said, stated, yes=yes)


def decide(
    session: Session,
    workflow_id: str,
    said: Said,
    make: Callable[[ApprovalRequest], ApprovalDecision],
    *,
    yes: bool,
) -> None:
    """Show an action, ask, and send what the person says of it.

    Args:
        session: The command's.
        workflow_id: The run.
        said: What they say.
        make: Makes the decision of it, once they were shown the action and said yes.
        yes: Don't ask.

    Raises:
        CommandFailed: it isn't pending, has other arguments than they looked at, or didn't count.
    """
    client = session.client()
    request = session.run(shown_action(client, workflow_id, said))
    session.output.show(*approval_views(workflow_id, request))
    if not yes and sys.stdin.isatty():
        question = visible(f"{said.verdict.capitalize()} {request.tool} as {said.by}?")
        if not typer.confirm(question, err=True):
            raise refused("nothing was sent")
    receipt = session.run(_send(client, workflow_id, make(request)))
    needed = f"; {receipt.people_needed} more needed" if receipt.people_needed else ""
    session.output.result(receipt, safe(f"{receipt.approval_id} is {receipt.status}{needed}", "bold"))


async def shown_action(client: AgentClient, workflow_id: str, said: Said) -> ApprovalRequest:
    """The action that a person decides on, if its arguments are those that they looked at.

    Raises:
        CommandFailed: it isn't pending, or has other arguments.
    """
    request = await _pending(client, workflow_id, said)
    if said.arguments_hash not in (None, request.arguments_hash):
        raise refused(
            f"{request.id} has other arguments than those you looked at (their hash is "
            f"{request.arguments_hash}): look again with `agentflow approvals`; nothing was sent"
        )
    return request


async def _pending(client: AgentClient, workflow_id: str, said: Said) -> ApprovalRequest:
    """The action that the person decides on, as it is now."""
    pending = await answer_of(workflow_id, client.pending_approvals(workflow_id))
    for request in pending:
        if request.id == said.approval_id:
            return request
    waiting = ", ".join(request.id for request in pending) or "nothing"
    raise refused(f"{said.approval_id} isn't pending in {workflow_id} ({waiting} is); nothing was sent")


def _bound_to(request: ApprovalRequest, said: Said) -> ApprovalDecision:
    """The decision, bound to the arguments that are shown: the run refuses it for any other."""
    try:
        return ApprovalDecision(
            approval_id=ApprovalId(said.approval_id),
            by=said.by,
            arguments_hash=request.arguments_hash,
            roles=said.roles,
            reason=said.reason,
            verdict=said.verdict,
        )
    except ValidationError as error:
        raise misused(f"this is no decision: {describe_errors(error)}") from None


async def _send(client: AgentClient, workflow_id: str, decision: ApprovalDecision) -> DecisionReceipt:
    try:
        return await answer_of(workflow_id, client.decide(workflow_id, decision))
    except CommandFailed as failed:
        if failed.code != ExitCode.UNREACHABLE:
            raise
        # The server may hold the update until a worker comes, so "it failed" would be a guess.
        raise CommandFailed(
            failed.code,
            f"{failed} Your decision may still be taken: see `agentflow status {workflow_id} --decisions`",
        ) from failed
