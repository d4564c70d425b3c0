"""``agentflow approvals approve`` and ``reject``: one decision on many actions."""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from agentflow.adapters.signer import Signer
from agentflow.cli.approval_options import Limit, approval_filter
from agentflow.cli.decide import Reason, Yes
from agentflow.cli.exits import ExitCode, misused, refused
from agentflow.cli.option_groups import Command, taking
from agentflow.cli.options import AsJson
from agentflow.cli.output import Progress, safe, table
from agentflow.cli.own_key import KeyFile, check_run, own_key
from agentflow.cli.session import Session, open_session
from agentflow.client import AgentClient
from agentflow.contracts.approval import ApprovalDecision, ApprovalRequest
from agentflow.core.approval import Verdict
from agentflow.core.words import visible
from agentflow.errors import AgentflowError
from agentflow.inbox import DECIDED_AT_ONCE, ApprovalFilter, Decided, Inbox, RunApprovals

MAX_SHOWN = 20
"""Of the decisions that did not count, on the screen; JSON has them all."""

By = Annotated[
    str | None, typer.Option("--by", metavar="NAME", help="Who you are, where decisions are not signed.")
]
Signed = Annotated[bool, typer.Option("--signed", help="Sign each with your key.")]
Everything = Annotated[bool, typer.Option("--all", help="All that is pending, whatever it is.")]

Item = tuple[str, ApprovalRequest]


def deciding_on_all(verdict: Verdict) -> Command:
    """The command that says this of many actions."""

    @taking("wanted", approval_filter)
    def decide_on_all(
        context: typer.Context,
        *,
        by: By = None,
        signed: Signed = False,
        key_file: KeyFile = None,
        wanted: ApprovalFilter,
        everything: Everything = False,
        limit: Limit = 1_000,
        reason: Reason = "",
        yes: Yes = False,
        as_json: AsJson = False,
    ) -> None:
        with open_session(context, as_json=as_json) as session:
            batch = _Batch(verdict, _person(by, key_file, signed=signed), wanted, reason)
            batch.decide(session, limit=limit, everything=everything, yes=yes)

    return decide_on_all


def _person(by: str | None, key_file: Path | None, *, signed: bool) -> str | Signer:
    if bool(by) == signed:
        raise misused("say who you are: --by NAME, or --signed with your key")
    return own_key(key_file) if signed else str(by)


@dataclass(frozen=True)
class _Batch:
    """One decision on many actions."""

    verdict: Verdict
    person: str | Signer
    """By name, or with their key."""
    wanted: ApprovalFilter
    reason: str

    def decide(self, session: Session, *, limit: int, everything: bool, yes: bool) -> None:
        """Show them, ask, and send."""
        if self.wanted == ApprovalFilter() and not everything:
            raise misused("say which: --agent, --tenant, --role, --tool, --rule or --query; or --all")
        client = session.client()
        inbox = Inbox(client)
        items = self._items(session, session.run(inbox.pending(self.wanted, limit=limit)))
        session.output.show(_shown(items))
        name = self.person if isinstance(self.person, str) else self.person.subject
        _confirm(f"{self.verdict.capitalize()} these {len(items)} as {name}?", yes=yes)
        decisions = session.run(self._decisions(client, items))
        with session.output.progress(f"0 of {len(items)} decided") as progress:
            done = session.run(inbox.decide(decisions, told=_Counter(progress, len(items))))
        failed = [one for one in done if one.problem]
        counted = safe(f"{len(done) - len(failed)} of {len(done)} counted", "bold")
        problems = [(one.workflow_id, one.approval_id, one.problem) for one in failed[:MAX_SHOWN]]
        shown = [counted, table(("RUN", "APPROVAL", "WHY NOT"), problems)] if problems else [counted]
        session.output.result({"decided": done}, *shown)
        if failed:
            raise typer.Exit(ExitCode.REFUSED)

    def _items(self, session: Session, found: Sequence[RunApprovals]) -> list[Item]:
        # What is shown otherwise than it is bound is nobody's to decide on in passing.
        items = [(run.workflow_id, request) for run in found if not run.problem for request in run.approvals]
        for run in found:
            if run.problem:
                session.output.note(f"left out: {run.workflow_id}: {run.problem}")
        if not items:
            raise refused("nothing like that is pending")
        return items

    async def _decisions(
        self, client: AgentClient, items: Sequence[Item]
    ) -> list[tuple[str, ApprovalDecision]]:
        """The decisions, bound to the arguments that were shown."""
        if isinstance(self.person, Signer):
            return await self._signed(client, items, self.person)
        if signed := next((run for run, request in items if request.identity == "signed"), None):
            raise refused(f"{signed} takes signed decisions only: say --signed; nothing was sent")
        return [(run, self._stated(request, self.person)) for run, request in items]

    def _stated(self, request: ApprovalRequest, by: str) -> ApprovalDecision:
        return ApprovalDecision(
            approval_id=request.id,
            by=by,
            arguments_hash=request.arguments_hash,
            roles=self.wanted.roles,
            reason=self.reason,
            verdict=self.verdict,
        )

    async def _signed(
        self, client: AgentClient, items: Sequence[Item], signer: Signer
    ) -> list[tuple[str, ApprovalDecision]]:
        free = asyncio.Semaphore(DECIDED_AT_ONCE)

        async def check(workflow_id: str, request: ApprovalRequest) -> None:
            async with free:
                await check_run(client, workflow_id, request.run)

        await asyncio.gather(*(check(*item) for item in items))
        try:
            return [(run, signer.decision(one, self.verdict, reason=self.reason)) for run, one in items]
        except AgentflowError as error:
            raise refused(f"{error}; nothing was sent") from None


def _shown(items: Sequence[Item]) -> Table:
    """Each action in words and with its exact arguments: nothing is decided on that was not shown."""
    rows = [
        (
            workflow_id,
            request.id,
            request.sentence or request.tool,
            json.dumps(request.arguments, ensure_ascii=False),
        )
        for workflow_id, request in items
    ]
    return table(("RUN", "APPROVAL", "ACTION", "EXACTLY"), rows)


def _confirm(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise misused("nobody can be asked here: look at the list, then say --yes; nothing was sent")
    if not typer.confirm(visible(question), err=True):
        raise refused("nothing was sent")


class _Counter:
    """Shows how many are done."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def __call__(self, _: Decided) -> None:
        self._done += 1
        if self._done % 50 == 0 or self._done == self._total:
            self._progress.update(f"{self._done} of {self._total} decided")
