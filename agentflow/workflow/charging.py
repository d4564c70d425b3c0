"""What a model call is charged to the run: set aside before it, settled whatever came of it."""

from dataclasses import dataclass

from temporalio.exceptions import ActivityError, is_cancelled_exception

from agentflow.contracts.budget import Spend
from agentflow.contracts.model import ChatResponse, ModelSpec
from agentflow.core.budget import attempts
from agentflow.core.model_names import is_same_model
from agentflow.core.usage import Answered, charge
from agentflow.errors import PayloadTooLargeError
from agentflow.workflow.failures import failure_of
from agentflow.workflow.run import Run


@dataclass(frozen=True)
class Reserved:
    """The part of the budget that is set aside for one call."""

    name: str
    """Of the reservation: each call has one of its own, however many are under way."""
    model: ModelSpec
    worst: Spend
    """Of one attempt."""
    attempts: int
    """How many the budget covers."""
    prompt_bytes: int
    """Length of the texts that the model reads, at least."""


def settle(run: Run, reserved: Reserved, response: ChatResponse) -> str | None:
    """Charge a call that was answered, and record what is odd about it.

    Returns:
        Why people must see the run before it goes on: the call cost more than was possible.
    """
    usage, model = response.usage, reserved.model
    answered = Answered.by(model, response, reserved.prompt_bytes)
    charged = charge(answered, reserved.worst, run.purse.budget)
    # Attempts before this one died unheard; the provider may have billed them.
    died = min(response.attempt - 1, reserved.attempts)
    unheard = attempts(reserved.worst, died).model_copy(update={"model_calls": 0})
    run.purse = run.purse.settle(
        reserved.name,
        charged.spend + unheard,
        possibly_billed_usd=unheard.cost_usd + charged.possibly_billed_usd,
    )
    if usage.input_tokens and not charged.doubts:
        run.measured = (usage.input_tokens, reserved.worst.input_tokens)
    run.log.debug(
        "model answered",
        turn=run.turn,
        model=response.response_model or model.name,
        cost_usd=str(charged.spend.cost_usd),
        tool_calls=len(response.answer.tool_calls),
    )
    _record_other_model(run, model, response)
    if charged.doubts:
        _note(run, f"charged at the worst case, ${charged.spend.cost_usd:f}: {'; '.join(charged.doubts)}")
    if charged.excess is None:
        return None
    excess = f"a call of {model.name} is above its worst case: {charged.excess}"
    _note(run, f"charged as reported: {excess}")
    return excess


def settle_failure(run: Run, reserved: Reserved, error: BaseException) -> None:
    """Charge a call that failed: at the worst case of each attempt, but for what was certainly not billed."""
    made = reserved.attempts
    if isinstance(error, PayloadTooLargeError):
        # Refused before it was sent.
        made = 0
    elif isinstance(error, ActivityError) and not is_cancelled_exception(error):
        made = failure_of(error).billable(reserved.attempts)
    charged = attempts(reserved.worst, made)
    run.purse = run.purse.settle(reserved.name, charged, possibly_billed_usd=charged.cost_usd)


def _record_other_model(run: Run, asked: ModelSpec, response: ChatResponse) -> None:
    """Record, once, that another model answers than the one that is asked, or one at another price."""
    name, price = response.response_model, response.response_price
    is_same = is_same_model(asked.name, name, asked.answers_as)
    if (is_same and price is None) or (asked.name, name) in run.other_models:
        return
    run.other_models |= {(asked.name, name)}
    how = "at the dearer of their prices" if price else "at the worst case, as its price is unknown"
    _note(run, f"{name} answers for {asked.name}: charged {how}")


def _note(run: Run, what: str) -> None:
    run.note("model_call", False, f"turn {run.turn}: {what}")
