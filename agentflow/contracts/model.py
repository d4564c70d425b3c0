"""One call of a model: what it is asked, what it answers, what it costs."""

from datetime import timedelta
from decimal import Decimal
from typing import Literal

from pydantic import Field

from agentflow.contracts.budget import MOST_TOKENS, Usage
from agentflow.contracts.messages import AssistantMessage, Entry, Message, ToolCall
from agentflow.contracts.tags import ToldValues
from agentflow.contracts.tools import RetryOptions
from agentflow.contracts.wire import Contract, Duration, Json, Price, Sha256, is_empty, is_none

HEAD_DIGITS = 16
"""How much of a head travels back."""


def _is_usual(finish_reason: str) -> bool:
    return finish_reason == "tool_calls"


def _is_first(attempt: int) -> bool:
    return attempt == 1


MAX_TOOL_CALLS = 100
"""Of one answer, unless its agent says otherwise."""


class ModelOptions(Contract):
    """How models are called."""

    max_output_tokens: int = Field(default=2048, ge=1, le=MOST_TOKENS)
    temperature: float | None = Field(default=0.0, ge=0, le=2)
    """``None`` leaves it to the provider, which some reasoning models need."""
    start_to_close_timeout: Duration = timedelta(minutes=2)
    """Longest time for one attempt."""
    schedule_to_close_timeout: Duration | None = None
    """Longest time for all attempts, waiting for a worker included. ``None`` leaves it to the number of
    attempts: the timer of each call would take a seventh of the server's time."""
    heartbeat_timeout: Duration = timedelta(seconds=20)
    """An attempt whose worker is silent this long counts as dead."""
    retry: RetryOptions = RetryOptions()
    max_tool_calls: int = Field(default=MAX_TOOL_CALLS, ge=1, le=1_000)
    """Of one answer. One with more is not used: the next model is asked, then a person."""


class ModelPrice(Contract):
    """Dollars for a million tokens. The dearest tier where a provider has several."""

    input_usd_per_mtok: Price
    output_usd_per_mtok: Price
    cache_read_usd_per_mtok: Price | None = Field(default=None, exclude_if=is_none)
    """``None`` prices cached input as input."""
    cache_write_usd_per_mtok: Price | None = Field(default=None, exclude_if=is_none)
    request_usd: Price = Decimal(0)
    """Charged for each request."""
    source: str = "configuration"
    """Where the price is from, with its version: for the auditor."""


class ModelSpec(Contract):
    """A model as the manifest pins it."""

    name: str
    """``provider:model``, such as ``anthropic:claude-sonnet-4-5``."""
    price: ModelPrice
    tool_calling: Literal["native", "constrained"] = "native"
    """``constrained``: the model has no tool calling of its own (or a poor one); its tool choice is a
    JSON object held to a schema: tool name and arguments."""
    context_tokens: int | None = Field(default=None, ge=1, exclude_if=is_none)
    """The most tokens that it takes in one request, answer included; ``None`` when unknown."""
    answers_as: tuple[str, ...] = Field(default=(), exclude_if=is_empty)
    """Names under which the provider answers for it, besides its own with a version or a date."""


class ToolOffer(Contract):
    """A tool as the model is told of it."""

    name: str
    description: str
    input_schema: dict[str, Json]


class Brief(Contract):
    """All of a model call but the conversation. It is the same turn after turn, and travels as its hash."""

    model: ModelSpec
    instructions: str
    tools: tuple[ToolOffer, ...] = ()
    output_schema: dict[str, Json] | None = None
    """JSON Schema that the final answer must fit; ``None`` for free text."""
    output_name: str = "final_answer"
    max_output_tokens: int
    max_tool_calls: int = MAX_TOOL_CALLS
    temperature: float | None = None
    timeout: Duration
    rules: str | None = Field(default=None, exclude_if=is_none)
    """Id of the run's rule set, for the call's span; no model is told of it."""


class ChatRequest(Contract):
    """The argument of the ``chat`` activity: what is new since the parent node."""

    parent: Sha256 | None = Field(default=None, exclude_if=is_none)
    """Head of the transcript so far; ``None`` for the first call."""
    results: tuple[Sha256, ...] = Field(default=(), exclude_if=is_empty)
    """What is new since ``parent``: first, names of the texts that its tool calls came to, in the calls'
    order, as far as they went well and the texts are in history."""
    messages: tuple[Entry, ...] = Field(default=(), exclude_if=is_empty)
    """Then the rest."""
    brief: Sha256 | None = Field(default=None, exclude_if=is_none)
    """Names the ``Brief``: ``sha256_of`` its JSON. ``None`` is the one that the parent was answered with."""
    brief_in_full: Brief | None = Field(default=None, exclude_if=is_none)
    """At its first use in a workflow execution; a worker finds it in the blob store after that."""
    known: ToldValues | None = Field(default=None, exclude_if=is_none)
    """The run's marked values, where the run's worker has a redactor."""


class ChatResponse(Contract):
    """The result of the ``chat`` activity."""

    text: str = Field(default="", exclude_if=is_empty)
    tool_calls: tuple[ToolCall, ...] = Field(default=(), exclude_if=is_empty)
    message: AssistantMessage | None = Field(default=None, exclude_if=is_none)
    """The answer, as results had it until ``text`` and ``tool_calls`` took its place."""
    usage: Usage
    head: str = Field(min_length=HEAD_DIGITS, max_length=64)
    """The beginning of the transcript's new head: enough to see that both sides mean the same conversation.
    The workflow computes the whole."""
    response_model: str = Field(default="", exclude_if=is_empty)
    """The model's name as the provider gave it, if it is not the one that was asked for."""
    response_price: ModelPrice | None = Field(default=None, exclude_if=is_none)
    """The price of the model that answered, if it is another one with another price."""
    finish_reason: str = Field(default="tool_calls", exclude_if=_is_usual)
    attempt: int = Field(default=1, ge=1, exclude_if=_is_first)
    """Which attempt this was; the ones before may have been billed."""

    @property
    def answer(self) -> AssistantMessage:
        """What the model said."""
        return self.message or AssistantMessage(text=self.text, tool_calls=self.tool_calls)


class ModelCall(Contract):
    """What a ``ModelClient`` is asked: the whole conversation, contents included."""

    model: ModelSpec
    instructions: str
    messages: tuple[Message, ...]
    tools: tuple[ToolOffer, ...] = ()
    output_schema: dict[str, Json] | None = None
    output_name: str = "final_answer"
    max_output_tokens: int
    temperature: float | None = None
    timeout: Duration
    idempotency_key: str
    """The same for every attempt of one call."""


class ModelAnswer(Contract):
    """What a ``ModelClient`` answers."""

    message: AssistantMessage
    usage: Usage
    response_model: str
    finish_reason: str
