"""``agentflow status``."""

import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

import typer
from rich.console import RenderableType
from temporalio.client import WorkflowExecutionDescription, WorkflowExecutionStatus, WorkflowFailureError

from agentflow.adapters.history.spent import Spent, spent_by
from agentflow.cli.exits import CommandFailed
from agentflow.cli.failures import RPC_TIMEOUT, answer_of, failure_text
from agentflow.cli.options import AsJson, WorkflowId
from agentflow.cli.outcome import STYLES, outcome_views, usage_facts, when
from agentflow.cli.output import exact_json, facts, safe, table
from agentflow.cli.session import open_session
from agentflow.client import AgentClient
from agentflow.contracts.budget import UsageReport
from agentflow.contracts.escalation import EffectInDoubt, RunStatus
from agentflow.contracts.outcome import AgentOutcome
from agentflow.contracts.rules import DecisionRecord
from agentflow.contracts.wire import Json
from agentflow.core.approver_page import escalation_page
from agentflow.core.escalation import answers_to
from agentflow.core.words import dollars

DECISION_COLUMNS = ("AT", "WHAT", "VERDICT", "BY", "TOOL", "RULE", "DETAIL")


@dataclass(frozen=True)
class Standing:
    """Where a run stands: what the server knows, and what the run says if a worker answers for it."""

    execution: WorkflowExecutionDescription
    status: RunStatus | None = None
    usage: UsageReport | None = None
    outcome: AgentOutcome[Any] | None = None
    spent: Spent | None = None
    """What a run has spent that ended without an outcome."""
    failure: str | None = None
    """Why a run failed that ended without an outcome."""
    decisions: list[DecisionRecord] | None = None
    """If they were asked for."""
    problem: CommandFailed | None = None
    """Why something that was asked for is missing."""

    def document(self) -> Json:
        """The whole as JSON."""
        return {
            "workflow_id": self.execution.id,
            "run_id": self.execution.run_id,
            "workflow_type": self.execution.workflow_type,
            "task_queue": self.execution.task_queue,
            "execution_status": self.execution.status.name.lower() if self.execution.status else None,
            "started": self.execution.start_time,
            "closed": self.execution.close_time,
            "status": self.status,
            "usage": self.usage,
            "outcome": self.outcome,
            "failure": self.failure,
            "spent": asdict(self.spent) if self.spent else None,
            "decisions": self.decisions,
            "problem": str(self.problem) if self.problem else None,
        }


def status(
    context: typer.Context,
    workflow_id: WorkflowId,
    *,
    decisions: Annotated[
        bool, typer.Option("--decisions", help="And what rules and people decided, refusals included.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show where a run stands and what it has spent; for one that has ended, its outcome."""
    with open_session(context, as_json=as_json) as session:
        client = session.client()
        standing = session.run(_standing(client, workflow_id, decisions=decisions))
        session.output.result(standing.document(), *_views(standing))
        if standing.problem:
            session.output.note(str(standing.problem))
            raise typer.Exit(standing.problem.code)


async def _standing(client: AgentClient, workflow_id: str, *, decisions: bool) -> Standing:
    handle = client.temporal.get_workflow_handle(workflow_id)
    standing = Standing(await handle.describe(rpc_timeout=RPC_TIMEOUT))
    try:
        if standing.execution.status == WorkflowExecutionStatus.RUNNING:
            standing = replace(
                standing,
                status=await answer_of(workflow_id, client.status(workflow_id)),
                usage=await answer_of(workflow_id, client.usage(workflow_id)),
            )
        else:
            standing = await _ended(client, standing)
            if standing.outcome is None:
                spent = spent_by(client.temporal, workflow_id, standing.execution.run_id)
                standing = replace(standing, spent=await answer_of(workflow_id, spent))
        if decisions:
            log = await answer_of(workflow_id, client.decisions(workflow_id))
            standing = replace(standing, decisions=log)
    except CommandFailed as problem:
        # What the server knows is worth showing all the same.
        return replace(standing, problem=problem)
    return standing


async def _ended(client: AgentClient, standing: Standing) -> Standing:
    try:
        outcome = await answer_of(standing.execution.id, client.result(standing.execution.id, object))
        return replace(standing, outcome=outcome)
    except WorkflowFailureError as error:
        return replace(standing, failure=failure_text(error))


def _views(standing: Standing) -> Iterator[RenderableType]:
    execution, run = standing.execution, standing.status
    state = run.state if run else execution.status.name.lower() if execution.status else "unknown"
    yield facts(
        [
            ("run", execution.id),
            ("agent", execution.workflow_type),
            ("state", None if standing.outcome else safe(state, STYLES.get(state, ""))),
            ("turn", run.turn if run else None),
            ("release", run.release if run else None),
            ("detail", (run.detail or None) if run else None),
            ("started", when(execution.start_time)),
            ("ended", when(execution.close_time) if execution.close_time else None),
            ("failure", standing.failure),
            *(usage_facts(standing.usage) if standing.usage else ()),
            *(_spent_facts(standing.spent) if standing.spent else ()),
            *_waits(execution.id, run),
        ]
    )
    if run and run.escalation and run.escalation.effect:
        yield from _doubt_views(execution.id, run.escalation.effect)
    if standing.outcome:
        yield from outcome_views(standing.outcome)
    if standing.decisions is not None:
        yield table(DECISION_COLUMNS, map(_cells, standing.decisions))


def _spent_facts(spent: Spent) -> Iterator[tuple[str, object]]:
    yield "spent", dollars(spent.cost_usd)
    if spent.possibly_billed_usd:
        said = "of it may have been billed for calls whose end the run did not hear of"
        yield "in doubt", f"{dollars(spent.possibly_billed_usd)} {said}"


def _waits(workflow_id: str, run: RunStatus | None) -> Iterator[tuple[str, object]]:
    """What the run waits for people to do, with the command that does it."""
    if run and run.pending_approvals:
        yield "approvals", f"{run.pending_approvals} pending: agentflow approvals {workflow_id}"
    if run and run.escalation:
        yield "escalation", f"{run.escalation.id}: {run.escalation.reason}"
        yield "wait until", when(run.escalation.deadline)
        for label, text in escalation_page(run.escalation):
            yield label, safe(text)
        if run.escalation.effect is None:
            how = "guide|answer|abort" if run.escalation.answerable else "guide|abort"
            yield "resolve", f"agentflow resolve {workflow_id} {how} --by YOUR_NAME --text …"


def _doubt_views(workflow_id: str, effect: EffectInDoubt) -> Iterator[RenderableType]:
    """A write that may have happened: exactly what it is, what is known of it, and how to answer."""
    attempts = "the ledger can't be asked" if effect.attempts is None else effect.attempts
    yield facts(
        [
            ("made before" if effect.earlier else "in doubt", safe(effect.tool, "bold")),
            ("call", effect.tool_call_id),
            ("key", effect.key),
            ("attempts", attempts),
            ("known", effect.detail),
            ("arguments", ""),
        ]
    )
    yield exact_json(effect.arguments)
    resolve, you = ["agentflow", "resolve", workflow_id], ["--by", "YOUR_NAME"]
    for answer in answers_to(effect):
        told = ["--text", "WHY"] if answer.needs == "text" else ["--result", "JSON"]
        yield safe(shlex.join([*resolve, answer.action, *you, *(told if answer.needs else ())]), "cyan")


def _cells(record: DecisionRecord) -> tuple[str, ...]:
    return (
        record.at[:19],
        record.subject,
        record.verdict or ("yes" if record.accepted else "no"),
        record.by or "",
        record.tool or "",
        record.rule or "",
        record.detail,
    )
