"""The run's talk with a model: reserve, call, settle, and add to the transcript."""

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
        await run.escalate(f"the model can't be reached: {failure.message}", escalation_timeout)


async def _one_call(
    run: Run, tools: tuple[ToolOffer, ...], output_schema: dict[str, Json] | None
) -> ChatResponse:
    options = run.definition.model_options
    model, worst, fitting = _affordable(run, options, tools, output_schema)
    run.turn += 1
    run.enter("thinking")
    # Each call has a reservation of its own, however many are under way.
    name = f"chat-{run.turn}"
    run.purse = run.purse.reserve(name, attempts(worst, fitting))
    run.models_used |= {model.name}
    request = _request(run, model, options, tools, output_schema)
    try:
        response = await _send(run, request, options, fitting)
    except BaseException as error:
        _settle_failure(run, name, worst, fitting, error)
        raise
    spent = Spend(
        cost_usd=cost_usd(response.usage, model.price),
        input_tokens=response.usage.input_tokens,
        output_tokens=response.usage.output_tokens,
        model_calls=1,
    )
    # Attempts before this one died unheard; the provider may have billed them.
    unheard = attempts(worst, min(response.attempt - 1, fitting)).model_copy(update={"model_calls": 0})
    run.purse = run.purse.settle(name, spent + unheard, possibly_billed_usd=unheard.cost_usd)
    run.transcript = run.transcript.answered(response.message, response.head)
    run.log.info(
        "model answered",
        turn=run.turn,
        model=response.response_model,
        cost_usd=str(spent.cost_usd),
        tool_calls=len(response.message.tool_calls),
    )
    return response


async def _send(run: Run, request: ChatRequest, options: ModelOptions, fitting: int) -> ChatResponse:
    summary = f"turn {run.turn}: {request.model.name}"
    try:
        return await dispatch.chat(request, options, fitting, summary)
    except ActivityError as error:
        if not dispatch.is_transcript_missing(error):
            raise
    # The worker that took the call has an empty store. History has the whole conversation, and so has
    # this workflow: send it once, in full, and the store is whole again.
    run.log.warning("transcript resent", turn=run.turn)
    whole = request.model_copy(update={"messages": run.transcript.news, "ancestors": run.transcript.nodes})
    return await dispatch.chat(whole, options, fitting, f"{summary}, transcript in full")


def _affordable(
    run: Run, options: ModelOptions, tools: tuple[ToolOffer, ...], output_schema: dict[str, Json] | None
) -> tuple[ModelSpec, Spend, int]:
    """The first model of the route whose worst case fits, and how many attempts of it do."""
    tokens = input_token_bound(run.definition.instructions, run.transcript.messages, tools, output_schema)
    for model in run.manifest.models:
        worst = worst_case(model.price, tokens, options.max_output_tokens)
        if fitting := run.purse.affordable_attempts(worst, options.retry.max_attempts):
            return model, worst, fitting
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


def _settle_failure(run: Run, name: str, worst: Spend, fitting: int, error: BaseException) -> None:
    """A failed call stays charged, as the provider may have billed it; a refused one was not."""
    made = fitting
    if isinstance(error, ActivityError) and not is_cancelled_exception(error):
        failure = dispatch.failure_of(error)
        if failure.attempts is not None:
            made = failure.attempts if failure.retryable else failure.attempts - 1
    charged = attempts(worst, min(max(made, 0), fitting))
    run.purse = run.purse.settle(name, charged, possibly_billed_usd=charged.cost_usd)
