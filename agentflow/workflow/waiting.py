"""A run waits for people, to decide on an action or to take over; it shows that it waits, and tells of it."""

from collections.abc import Callable

from temporalio import workflow

from agentflow.contracts.approval import ApprovalOutcome, ApprovalRequest
from agentflow.contracts.escalation import Resolution
from agentflow.contracts.wire import Json
from agentflow.core.action import Action, Asking, request_for
from agentflow.core.answer import AnswerForm
from agentflow.core.why_untrusted import untrusted_values
from agentflow.errors import RunEscalated
from agentflow.telemetry import semconv
from agentflow.telemetry.spans import workflow_span
from agentflow.workflow.escalations import Doubt
from agentflow.workflow.run import Run, seconds_since


def open_approval(run: Run, action: Action, asking: Asking) -> ApprovalRequest:
    """Let people decide on one action."""
    request = request_for(
        action,
        asking,
        run.people.approvals.next_id(),
        requested_by=run.task.requested_by,
        requester_proof=run.requester_proof,
        tier=run.tier,
        sources=run.provenance.origins(action.arguments, run.past_calls, action.contract),
        untrusted=untrusted_values(
            run.provenance,
            action.contract,
            action.arguments,
            run.past_calls,
            run.definition.catalog.contracts,
        ),
        spent_usd=run.purse.settled.cost_usd,
    )
    run.people.approvals.open(request)
    run.log.warning("approval needed", tool=request.tool, rule=request.rule, approval_id=request.id)
    opened = run.people.approvals.request(request.id)
    run.notices.of_approval("approval.requested", opened)
    return opened


async def await_approval(
    run: Run, request: ApprovalRequest, or_until: Callable[[], bool] = lambda: False
) -> ApprovalOutcome | None:
    """Wait for people to decide on one action, and show that the run waits.

    Args:
        run: The run that waits.
        request: The action.
        or_until: Ends the wait without an outcome, as ``None``, once it is true.
    """
    about = {
        semconv.TOOL_NAME: request.tool,
        semconv.APPROVAL_ID: request.id,
        semconv.DECISION_RULE: request.rule,
    }
    with workflow_span(f"{semconv.AWAIT_APPROVAL} {request.tool}", about) as span:
        outcome = await _decided_by_people(run, request, or_until)
        span.set_attribute(semconv.APPROVAL_STATUS, outcome.status if outcome else "held")
    return outcome


async def _decided_by_people(
    run: Run, request: ApprovalRequest, or_until: Callable[[], bool]
) -> ApprovalOutcome | None:
    run.enter("waiting_for_approval", request.reason)
    if await run.people.approvals.await_half_time(request.id, or_until):
        run.show()
        run.notices.of_approval("approval.next_roles", run.people.approvals.shown(request.id))
    outcome = await run.people.approvals.outcome(request.id, or_until)
    if outcome is not None:
        run.metrics.approval_ended(outcome.status, request.tool, seconds_since(request.asked_at))
        run.notices.is_over(request.id)
        run.enter("waiting_for_approval" if run.people.approvals.pending else "acting")
    return outcome


async def escalate(run: Run, reason: str, form: AnswerForm[Json] | None = None) -> Resolution:
    """Wait for a person to guide, to answer (where a form is given) or to abort.

    Raises:
        RunEscalated: a person aborted, or the deadline passed.
    """
    resolution = await _await_person(run, reason, form)
    if resolution.action == "abort":
        raise aborted(reason, resolution)
    run.heed([resolution.text, resolution.answer])
    run.enter("thinking")
    return resolution


async def ask_what_happened(run: Run, reason: str, doubt: Doubt) -> Resolution:
    """Wait for a person to say whether a write happened, or to abort.

    Raises:
        RunEscalated: the deadline passed.
    """
    resolution = await _await_person(run, reason, doubt=doubt)
    # Of several people, each answers for a text of their own, and all of them for the result.
    run.heed([resolution.text if doubt.quorum.people == 1 else "", resolution.result])
    run.enter("acting", reason)
    return resolution


async def _await_person(
    run: Run,
    reason: str,
    form: AnswerForm[Json] | None = None,
    doubt: Doubt | None = None,
) -> Resolution:
    # One escalation is open at a time: of two calls of a turn that both fail, the second waits.
    async with run.one_escalation:
        began = workflow.now()
        run.metrics.escalated()
        run.log.warning("escalated", reason=reason)
        deadline, asker = workflow.now() + run.definition.escalation_timeout, run.task.requested_by
        run.people.escalations.open(reason, deadline, requested_by=asker, form=form, doubt=doubt)
        run.enter("escalated", reason)
        escalation = run.people.escalations.current
        assert escalation is not None
        run.notices.of_escalation(escalation)
        with workflow_span(semconv.AWAIT_PERSON, {semconv.ESCALATION_ID: escalation.id}) as span:
            resolution = await run.people.escalations.resolution()
            action = "expired" if isinstance(resolution, str) else resolution.action
            span.set_attribute(semconv.ESCALATION_ACTION, action)
        run.metrics.escalation_ended(action, seconds_since(began))
        run.notices.is_over(escalation.id)
    if isinstance(resolution, str):
        raise RunEscalated(f"{reason} ({resolution})")
    return resolution


def aborted(reason: str, resolution: Resolution) -> RunEscalated:
    """The end of a run that a person aborted."""
    return RunEscalated(f"{reason} (aborted by {resolution.by}: {resolution.text})")
