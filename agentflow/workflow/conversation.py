"""The run's talk with a model: reserve, call, settle, and add to the transcript."""

from dataclasses import dataclass
from datetime import timedelta

from temporalio.exceptions import ActivityError, is_cancelled_exception

from agentflow.contracts.budget import Spend
from agentflow.contracts.model import ChatRequest, ChatResponse, ModelOptions, ModelSpec, ToolOffer
from agentflow.contracts.wire import Json
from agentflow.core.budget import attempts
from agentflow.core.pricing import cost_usd, input_token_bound, worst_case
from agentflow.errors import BudgetExhausted
from agentflow.workflow import dispatch
from agentflow.workflow.run import Run


async def ask_model(
    run: Run,
    tools: tuple[ToolOffer, ...],
    output_schema: dict[str, Json] | None,
    escalation_timeout: timedelta,
) -> ChatResponse:
    """Make one model call, and add its answer to the transcript.

    A call that fails for good escalates; a person's guidance tries again.

    Raises:
        BudgetExhausted: no model of the route fits what is left.
        RunEscalated: it failed, and a person aborted or nobody came.
    """
    while True:
        try:
            return await _one_call(run, tools, output_schema)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            failure = dispatch.failure_of(error)
        dispatch.heed_cancellation()
        await run.escalate(f"the model can't be reached: {failure.message}", escalation_timeout)


@dataclass(frozen=True)
class _Reserved:
    """What is set aside for one call."""

    name: str
    """Of the reservation: each call has one of its own, however many are under way."""
    model: ModelSpec
    worst: Spend
    """Of one attempt."""
    attempts: int
    """How many the budget covers."""


async def _one_call(
    run: Run, tools: tuple[ToolOffer, ...], output_schema: dict[str, Json] | None
) -> ChatResponse:
    options = run.definition.model_options
    run.turn += 1
    reserved = _affordable(run, options, tools, output_schema)
    run.enter("thinking")
    run.purse = run.purse.reserve(reserved.name, attempts(reserved.worst, reserved.attempts))
    run.models_used |= {reserved.model.name}
    request = _request(run, reserved.model, options, tools, output_schema)
    try:
        response, lost = await _send(run, request, options, reserved)
    except BaseException as error:
        _settle_failure(run, reserved, error)
        raise
    spent = Spend(
        cost_usd=cost_usd(response.usage, reserved.model.price),
        input_tokens=response.usage.input_tokens,
        output_tokens=response.usage.output_tokens,
        model_calls=1,
    )
    # Attempts before this one died unheard; the provider may have billed them.
    died = min(lost + response.attempt - 1, reserved.attempts)
    unheard = attempts(reserved.worst, died).model_copy(update={"model_calls": 0})
    run.purse = run.purse.settle(reserved.name, spent + unheard, possibly_billed_usd=unheard.cost_usd)
    run.transcript = run.transcript.answered(response.message, response.head)
    run.log.info(
        "model answered",
        turn=run.turn,
        model=response.response_model,
        cost_usd=str(spent.cost_usd),
        tool_calls=len(response.message.tool_calls),
    )
    dispatch.heed_cancellation()
    return response


async def _send(
    run: Run, request: ChatRequest, options: ModelOptions, reserved: _Reserved
) -> tuple[ChatResponse, int]:
    """Call the model; answer how many attempts were lost on a worker that lacks the conversation.

    That worker never asked the model, but attempts before may have: they count against what was reserved.
    History has the whole conversation, and so has this workflow: it is sent once in full, and the
    worker's store is whole again.
    """
    summary = f"turn {run.turn}: {request.model.name}"
    try:
        return await dispatch.chat(request, options, reserved.attempts, summary), 0
    except ActivityError as error:
        if not dispatch.is_transcript_missing(error):
            raise
        lost = (dispatch.failure_of(error).attempts or 1) - 1
    run.log.warning("transcript resent", turn=run.turn)
    whole = request.model_copy(update={"messages": run.transcript.news, "ancestors": run.transcript.nodes})
    # At least one is left: the attempt that missed the transcript made no request.
    left = reserved.attempts - lost
    return await dispatch.chat(whole, options, left, f"{summary}, transcript in full"), lost


def _affordable(
    run: Run, options: ModelOptions, tools: tuple[ToolOffer, ...], output_schema: dict[str, Json] | None
) -> _Reserved:
    """The first model of the route whose worst case fits, and how many attempts of it do."""
    tokens = input_token_bound(run.definition.instructions, run.transcript.messages, tools, output_schema)
    for model in run.manifest.models:
        worst = worst_case(model.price, tokens, options.max_output_tokens)
        if fitting := run.purse.affordable_attempts(worst, options.retry.max_attempts):
            return _Reserved(f"chat-{run.turn}", model, worst, fitting)
    cheapest = run.manifest.models[-1]
    worst = worst_case(cheapest.price, tokens, options.max_output_tokens)
    raise BudgetExhausted(f"a call of {cheapest.name} does not fit: {run.purse.shortfall(worst)}")


def _request(
    run: Run,
    model: ModelSpec,
    options: ModelOptions,
    tools: tuple[ToolOffer, ...],
    output_schema: dict[str, Json] | None,
) -> ChatRequest:
    return ChatRequest(
        root=run.transcript.root,
        parent=run.transcript.head,
        messages=run.transcript.news_by_reference(),
        model=model,
        instructions=run.definition.instructions,
        tools=tools,
        output_schema=output_schema,
        max_output_tokens=options.max_output_tokens,
        temperature=options.temperature,
        timeout=options.start_to_close_timeout,
    )


def _settle_failure(run: Run, reserved: _Reserved, error: BaseException) -> None:
    """A failed call stays charged, as the provider may have billed it; a refused one was not."""
    made = reserved.attempts
    if isinstance(error, ActivityError) and not is_cancelled_exception(error):
        failure = dispatch.failure_of(error)
        if failure.attempts == 1 and not failure.retryable:
            made = 0
    charged = attempts(reserved.worst, made)
    run.purse = run.purse.settle(reserved.name, charged, possibly_billed_usd=charged.cost_usd)
