"""How pending actions look at a shell."""

import shlex
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from rich.console import RenderableType
from rich.table import Table

from agentflow.cli.output import exact_json, facts, safe, table
from agentflow.contracts.approval import ApprovalRequest
from agentflow.core.approver_page import left, page, people_needed
from agentflow.core.view import signing_command
from agentflow.inbox import RunApprovals

_STYLES = {"action": "bold", "at stake": "bold", "not trusted": "yellow", "not counted": "yellow"}


def approval_views(workflow_id: str, request: ApprovalRequest) -> Iterator[RenderableType]:
    """One pending action, in full: the approver's page, and the exact arguments."""
    said = page(request, datetime.now(UTC))
    yield facts(
        [
            ("run", workflow_id),
            ("approval", safe(request.id, "bold")),
            *((label, safe(text, _STYLES.get(label, ""))) for label, text in said),
        ]
    )
    yield exact_json(request.arguments)


def run_views(found: Sequence[RunApprovals]) -> Iterator[RenderableType]:
    """All pending actions in full, each with the command that approves it."""
    for run in found:
        for request in run.approvals:
            yield from approval_views(run.workflow_id, request)
            yield safe(f"{approve_command(run.workflow_id, request)}\n", "cyan")
    if not any(run.approvals for run in found):
        yield safe("no pending approvals")


def short_table(found: Sequence[RunApprovals]) -> Table:
    """A line for each pending action: what, by when, where, whom it needs."""
    now = datetime.now(UTC)
    rows = [
        (
            left(request.deadline - now),
            run.workflow_id,
            request.id,
            f"{request.tier or ''}{', unverified' if request.identity == 'trusted' else ''}".lstrip(", "),
            request.sentence or request.tool,
            f"{people_needed(request)} {' or '.join(request.roles_at(now)) or 'anybody'}",
        )
        for run in found
        for request in sorted(run.approvals, key=lambda one: one.deadline)
    ]
    return table(("LEFT", "RUN", "APPROVAL", "TIER", "ACTION", "NEEDS"), rows)


def approve_command(workflow_id: str, request: ApprovalRequest) -> str:
    """What approves exactly this action; with reject for approve, what rejects it."""
    if request.identity == "signed":
        return signing_command(workflow_id, request)
    words = ["agentflow", "approve", workflow_id, request.id, "--by", "YOUR_NAME"]
    if request.quorum.roles:
        words += ["--role", request.quorum.roles[0]]
    return shlex.join([*words, "--hash", request.arguments_hash])
