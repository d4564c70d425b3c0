"""What a model call is charged: what was reported, if that can be, else the worst case.

A report that contradicts itself, or is below what the text itself must have cost, says nothing: the attempt
is charged at its worst case, and marked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby

from agentflow.contracts.budget import Budget, Spend, Usage
from agentflow.contracts.messages import AssistantMessage
from agentflow.contracts.model import ChatResponse, ModelPrice, ModelSpec
from agentflow.contracts.wire import canonical_json
from agentflow.core.model_names import is_same_model
from agentflow.core.pricing import cost_usd

MOST_CHARACTERS_A_TOKEN = 128
"""The longest tokens of OpenAI's published vocabularies (cl100k_base, o200k_base) are 128 blanks; those of
other letters have some dozens. Repeated characters, which long tokens are made of, count once here."""
MOST_BYTES_A_TOKEN = 1_024
"""The same for a text of which only the length is known: 128 characters are 512 bytes at most; twice that."""


@dataclass(frozen=True)
class Charge:
    """What an answered attempt is charged."""

    spend: Spend
    possibly_billed_usd: Decimal = Decimal(0)
    """The part of it that is not certain: all of it where the report can't be."""
    doubts: tuple[str, ...] = ()
    """Why the report can't be what was used."""
    excess: str | None = None
    """By what it is above the attempt's worst case, which is then no bound."""


@dataclass(frozen=True)
class Answered:
    """An answer, as far as its charge depends on it."""

    usage: Usage
    message: AssistantMessage
    prompt_bytes: int
    """Length of the texts that the model read, at least."""
    prices: tuple[ModelPrice, ...]
    """Of the model that was asked, and of the one that answered."""
    other_model: str | None = None
    """The name of the model that answered, if it is another one of unknown price."""

    @classmethod
    def by(cls, asked: ModelSpec, response: ChatResponse, prompt_bytes: int = 0) -> "Answered":
        """The answer to a model call.

        Args:
            asked: The model that was asked.
            response: As the run was told of it.
            prompt_bytes: As the field.
        """
        others = (response.response_price,) if response.response_price else ()
        is_known = others or is_same_model(asked.name, response.response_model, asked.answers_as)
        unknown = None if is_known else response.response_model
        return cls(response.usage, response.answer, prompt_bytes, (asked.price, *others), unknown)

    @property
    def reported_usd(self) -> Decimal:
        """Dollars for what was reported, at the dearest of the prices."""
        return max(cost_usd(self.usage, price) for price in self.prices)

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why that can't be what the answer cost; nothing if it can."""
        found = contradictions(self.usage, self.message, self.prompt_bytes)
        if self.other_model is None:
            return found
        return (*found, f"{self.other_model} answered, whose price is unknown")


def charge(answered: Answered, worst: Spend, budget: Budget) -> Charge:
    """What an answer is charged: never less than reported.

    Args:
        answered: The answer.
        worst: The attempt's worst case, at the price of the model that was asked.
        budget: The run's. Above the worst case is what costs more, or has more of the tokens that it limits.
    """
    usage, cost = answered.usage, answered.reported_usd
    reported = Spend(
        cost_usd=cost,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        model_calls=1,
    )
    excess = _excess(reported, worst, budget)
    doubts = answered.doubts
    if not doubts:
        return Charge(reported, excess=excess)
    highest = Spend(
        cost_usd=max(cost, worst.cost_usd),
        input_tokens=max(usage.input_tokens, worst.input_tokens),
        output_tokens=max(usage.output_tokens, worst.output_tokens),
        model_calls=1,
    )
    return Charge(highest, highest.cost_usd, doubts, excess)


def contradictions(usage: Usage, message: AssistantMessage, prompt_bytes: int = 0) -> tuple[str, ...]:
    """Why a report can't be what was used; nothing if it can.

    Args:
        usage: The report.
        message: The answer that it is of.
        prompt_bytes: Length of the texts that the model read, at least.
    """
    cached = usage.cache_read_input_tokens + usage.cache_write_input_tokens
    least_in, least_out = least_input_tokens(prompt_bytes), least_output_tokens(message)
    total = usage.total_tokens
    found = (
        (usage.doubt != "", usage.doubt),
        (
            usage.input_tokens < least_in,
            f"{usage.input_tokens} input tokens for a prompt of {prompt_bytes} bytes",
        ),
        (
            usage.output_tokens < least_out,
            f"{usage.output_tokens} output tokens for an answer of {least_out} at least",
        ),
        (
            usage.reasoning_output_tokens > usage.output_tokens,
            f"{usage.reasoning_output_tokens} reasoning tokens of {usage.output_tokens} output tokens",
        ),
        (cached > usage.input_tokens, f"{cached} cached tokens of {usage.input_tokens} input tokens"),
        (
            total is not None and total > usage.input_tokens + usage.output_tokens,
            f"{total} tokens in all, of {usage.input_tokens} input and {usage.output_tokens} output tokens",
        ),
    )
    return tuple(words for is_so, words in found if is_so)


def least_output_tokens(message: AssistantMessage) -> int:
    """The fewest tokens that an answer can have: texts and calls are separate, and none is for nothing."""
    texts = [message.text] if message.text else []
    texts += [call.tool + canonical_json(call.arguments).decode() for call in message.tool_calls]
    return sum(map(least_tokens, texts))


def least_tokens(text: str) -> int:
    """The fewest tokens that a text can have, by any tokenizer that is known."""
    characters = sum(1 for _ in groupby(text))
    return -(-characters // MOST_CHARACTERS_A_TOKEN)


def least_input_tokens(prompt_bytes: int) -> int:
    """The fewest tokens that texts of a length can have. No request is without any."""
    return 1 + prompt_bytes // MOST_BYTES_A_TOKEN


def _excess(reported: Spend, worst: Spend, budget: Budget) -> str | None:
    units: Sequence[tuple[str, bool]] = (
        ("cost_usd", True),
        ("input_tokens", budget.input_tokens is not None),
        ("output_tokens", budget.output_tokens is not None),
    )
    for unit, matters in units:
        was, most = getattr(reported, unit), getattr(worst, unit)
        if matters and was > most:
            return f"{unit} of {was}, where at most {most} was possible"
    return None
