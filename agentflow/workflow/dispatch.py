"""The one place that schedules activities, but for those that ask about people (``people_calls``).

Sizes are checked here, before scheduling: an oversized payload would hang the run in a workflow task
that fails for ever.
"""

import asyncio
from datetime import timedelta
from typing import Any, TypeVar, cast

from temporalio import workflow
from temporalio.common import RawValue, RetryPolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    CancelledError,
    TimeoutError,
)
from temporalio.workflow import ActivityCancellationType

from agentflow.contracts.effects import EffectInquiry, EffectReport
from agentflow.contracts.guards import OutputCheck, OutputVerdict
from agentflow.contracts.ledger import LedgerIdentity, LedgerQuestion
from agentflow.contracts.manifest import Manifest, ManifestRequest
from agentflow.contracts.model import ChatRequest, ChatResponse, ModelOptions
from agentflow.contracts.names import (
    CHAT_ACTIVITY,
    CLOSE_EFFECT_ACTIVITY,
    GUARD_OUTPUT_ACTIVITY,
    IDENTIFY_LEDGER_ACTIVITY,
    NOTIFY_ACTIVITY,
    RECONCILE_EFFECT_ACTIVITY,
    RESOLVE_MANIFEST_ACTIVITY,
)
from agentflow.contracts.notice import Notice
from agentflow.contracts.tools import RetryOptions, ToolContract, ToolInvocation, ToolResult
from agentflow.contracts.wire import Json, sha256_of
from agentflow.errors import PayloadTooLargeError
from agentflow.workflow.outgoing import Outgoing
from agentflow.workflow.sealed_calls import (
    ELSEWHERE,
    SHORT_ANSWER,
    Call,
    CallNames,
    activity_error,
    as_sent,
    execute,
    execute_locally,
    patient,
)
from agentflow.workflow.sealing import seal_argument

AnswerT = TypeVar("AnswerT")

OUTAGE = timedelta(minutes=2)
"""How long something may be away that a run asks and can't do without."""
_POOL_WAIT = timedelta(minutes=10)


async def resolve_manifest(calls: CallNames, request: ManifestRequest) -> Manifest:
    """Pin the run: a local activity, since it only reads the worker's own configuration."""
    return await execute_locally(
        calls,
        Call(
            RESOLVE_MANIFEST_ACTIVITY,
            calls.name("manifest"),
            as_sent(request),
            Manifest,
            RetryPolicy(maximum_attempts=3),
        ),
        schedule_to_close_timeout=timedelta(seconds=30),
        summary="pin release, models, prices and tier",
    )


async def chat(
    calls: CallNames,
    request: ChatRequest,
    options: ModelOptions,
    *,
    turn: int,
    attempts: int,
    prompt_bytes: int,
    summary: str,
    limit: int,
) -> ChatResponse:
    """Call a model.

    Args:
        calls: Names the call.
        request: What it is asked.
        options: Of the agent.
        turn: Of the run.
        attempts: How many the budget covers.
        prompt_bytes: Length of the texts that the model reads, at least: a report of what it used is held
            against it.
        summary: Shown in the Web UI.
        limit: The most bytes that a payload may have.

    Raises:
        PayloadTooLargeError: the request is too big for Temporal.
        ActivityError: it failed, after ``attempts`` attempts at most.
    """
    question = request.model_dump(mode="json", include={"parent", "results", "messages"})
    return await _step(
        calls,
        Call(
            CHAT_ACTIVITY,
            calls.name("chat", turn, question),
            sized("the model request", request, limit),
            ChatResponse,
            _retry_policy(options.retry, attempts),
            f"{calls.funds()} {prompt_bytes}",
        ),
        start_to_close_timeout=options.start_to_close_timeout,
        schedule_to_close_timeout=options.schedule_to_close_timeout,
        heartbeat_timeout=options.heartbeat_timeout,
        summary=summary,
    )


async def run_tool(
    calls: CallNames,
    contract: ToolContract,
    invocation: ToolInvocation,
    summary: str,
    limit: int,
    *,
    within: timedelta | None = None,
    attempts: int | None = None,
    elsewhere: bool = False,
) -> ToolResult:
    """Carry a tool call out, as an activity of the tool's own type.

    Args:
        calls: Names the call.
        contract: The tool's.
        invocation: The call.
        summary: Shown in the Web UI.
        limit: The most bytes that a payload may have.
        within: What is left of ``schedule_to_close_timeout``, where the contract has one.
        attempts: How many of the contract's attempts are left; all by default.
        elsewhere: Whether the worker that has the run has refused it, so that another one should be asked.

    Raises:
        PayloadTooLargeError: the arguments are too big for Temporal.
        ActivityError: it failed, after the contract's attempts.
    """
    options = contract.options
    argument = sized(f"the arguments of {contract.name}", invocation, limit)
    name = calls.name("tool", invocation.ledger_key, invocation.decision.arguments_hash)
    retry = _retry_policy(options.retry, attempts or options.retry.max_attempts)
    call = Call(contract.name, name, argument, ToolResult, retry, calls.funds())
    if not contract.local:
        return await _step(
            calls,
            call,
            activity_id=f"{ELSEWHERE}{name}" if elsewhere else None,
            task_queue=options.task_queue,
            start_to_close_timeout=options.start_to_close_timeout,
            schedule_to_close_timeout=within or (_POOL_WAIT if options.task_queue else None),
            heartbeat_timeout=options.heartbeat_timeout,
            summary=summary,
        )
    try:
        return await execute_locally(
            calls,
            call,
            options.max_result_bytes + SHORT_ANSWER,
            start_to_close_timeout=options.start_to_close_timeout,
            schedule_to_close_timeout=within,
            # A longer wait between attempts is a timer of the run's: it doesn't hold up the workflow task.
            local_retry_threshold=options.start_to_close_timeout,
            cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=summary,
        )
    except (ApplicationError, CancelledError, TimeoutError) as cause:
        # Temporal wraps the failure of an activity, and hands out that of a local activity as it is.
        raise activity_error(f"local activity {contract.name} failed", contract.name) from cause


async def identify_ledger(
    calls: CallNames, contract: ToolContract, chain: str, within: timedelta | None = None
) -> LedgerIdentity:
    """Ask a worker of the tool's task queue which ledger the writes of a run, by its chain, are recorded in.

    Raises:
        ActivityError: none answers, its ledger can't be reached, or nobody can tell any more.
    """
    queue = contract.options.task_queue
    return await execute(
        calls,
        Call(
            IDENTIFY_LEDGER_ACTIVITY,
            calls.name("ledger", queue),
            as_sent(LedgerQuestion(tool=contract.name, chain=chain)),
            LedgerIdentity,
            _retry_policy(contract.options.retry, contract.options.retry.max_attempts),
        ),
        task_queue=queue,
        start_to_close_timeout=timedelta(seconds=30),
        schedule_to_close_timeout=within or _POOL_WAIT,
        summary="which ledger?",
    )


async def reconcile_effect(
    calls: CallNames,
    contract: ToolContract,
    inquiry: EffectInquiry,
    *,
    within: timedelta,
    attempts: int | None = None,
) -> EffectReport:
    """Find out what became of a write whose activity failed.

    Args:
        calls: Names the call.
        contract: The tool's.
        inquiry: The write.
        within: How long it may take.
        attempts: How many the budget covers, where the probe has a price.

    Raises:
        ActivityError: the ledger, the outside system or a worker can't be asked, or an attempt may still be
            at it.
    """
    return await _about_effect(
        calls, RECONCILE_EFFECT_ACTIVITY, contract, inquiry, within=within, attempts=attempts
    )


async def close_effect(
    calls: CallNames, contract: ToolContract, inquiry: EffectInquiry, *, within: timedelta
) -> EffectReport:
    """Put a person's word on a write into the ledger; answer what is on record then. Arguments as above.

    Raises:
        ActivityError: the ledger or a worker can't be reached, or an attempt is at it.
    """
    return await _about_effect(calls, CLOSE_EFFECT_ACTIVITY, contract, inquiry, within=within)


async def guard_output(calls: CallNames, check: OutputCheck, limit: int) -> OutputVerdict:
    """Ask the output guard.

    Raises:
        PayloadTooLargeError: the output is too big for Temporal.
        ActivityError: no worker could ask it.
    """
    return await execute(
        calls,
        Call(
            GUARD_OUTPUT_ACTIVITY,
            calls.name("output", _in_any_order(check.model_dump(mode="json"))),
            sized("what the output guard is asked", check, limit),
            OutputVerdict,
            RetryPolicy(maximum_attempts=3),
        ),
        start_to_close_timeout=OUTAGE,
        summary="output guard",
    )


async def notify(notice: Notice, limit: int, outgoing: Outgoing) -> None:
    """Tell people outside, and try again until the notice's deadline.

    Args:
        notice: The notice.
        limit: The most bytes that a payload may have.
        outgoing: Counts what the execution sends.

    Raises:
        PayloadTooLargeError: the notice is too big for Temporal.
        ActivityError: it was not delivered.
    """
    payload = sized("the notice", notice, limit).payload
    mark = await outgoing.room_for(payload.ByteSize())
    lifetime = max(notice.deadline - workflow.now(), timedelta(minutes=1))
    await workflow.execute_activity(
        NOTIFY_ACTIVITY,
        RawValue(seal_argument(NOTIFY_ACTIVITY, notice.id, payload, attempts=0, lifetime=lifetime)),
        # Nothing is read of it, whoever answered.
        result_type=RawValue,
        start_to_close_timeout=timedelta(seconds=30),
        schedule_to_close_timeout=lifetime,
        retry_policy=RetryPolicy(
            initial_interval=timedelta(seconds=2), maximum_interval=timedelta(minutes=5)
        ),
        summary=f"{notice.kind}: {notice.subject}",
    )
    outgoing.have_left(mark)


async def _step(calls: CallNames, call: Call[AnswerT], **options: Any) -> AnswerT:
    """Run an activity that the run's next step waits for: where it is answered, history can be measured."""
    try:
        answer = await execute(calls, call, **options)
    except ActivityError:
        calls.history.measure()
        raise
    calls.history.measure()
    return answer


async def _about_effect(
    calls: CallNames,
    activity: str,
    contract: ToolContract,
    inquiry: EffectInquiry,
    *,
    within: timedelta,
    attempts: int | None = None,
) -> EffectReport:
    options = contract.options
    return await execute(
        calls,
        Call(
            activity,
            calls.name("effect", inquiry.invocation.ledger_key, inquiry.invocation.decision.arguments_hash),
            as_sent(inquiry),
            EffectReport,
            patient() if attempts is None else _retry_policy(contract.options.retry, attempts),
            calls.funds(),
        ),
        task_queue=options.task_queue,
        start_to_close_timeout=options.start_to_close_timeout,
        schedule_to_close_timeout=within,
        heartbeat_timeout=options.heartbeat_timeout,
        summary=f"{'close' if inquiry.closing else 'what became of'} {contract.name}",
    )


def heed_cancellation() -> None:
    """End here if the run was cancelled, or ran out of time, while an activity ended in another way.

    An activity that succeeds swallows the cancellation, and one that times out hides it, as Temporal doesn't
    try it again then: without this the run would go on as if nobody had asked it to stop.

    Raises:
        asyncio.CancelledError: it was.
    """
    if is_cancelling():
        raise asyncio.CancelledError


def is_cancelling() -> bool:
    """Whether what runs here has been asked to stop."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def sized(what: str, value: object, limit: int, advice: str = "") -> RawValue:
    """The value as the payload it is sent as: it is made once, and refused if it is too big.

    Args:
        what: Named in the error.
        value: The value.
        limit: The most bytes that it may have.
        advice: Added to the error.

    Raises:
        PayloadTooLargeError: it is; the text has its size and the limit.
    """
    payload = workflow.payload_converter().to_payload(value)
    size = payload.ByteSize()
    if size > limit:
        raise PayloadTooLargeError(what, size, limit, advice)
    return RawValue(payload)


def fits(value: object, limit: int) -> bool:
    """Whether the value, as a payload, has no more bytes than ``limit``."""
    return workflow.payload_converter().to_payload(value).ByteSize() <= limit


def _retry_policy(options: RetryOptions, attempts: int) -> RetryPolicy:
    return RetryPolicy(
        initial_interval=options.initial_interval,
        backoff_coefficient=options.backoff,
        maximum_interval=options.max_interval,
        maximum_attempts=attempts,
    )


def _in_any_order(value: Json) -> Json:
    """The value for a name: a set is written in another order by each process."""
    if isinstance(value, list):
        return sorted((_in_any_order(each) for each in cast(list[Json], value)), key=sha256_of)
    if isinstance(value, dict):
        return {key: _in_any_order(each) for key, each in cast(dict[str, Json], value).items()}
    return value
