"""What providers report beside an answer, as ours: how it ended, and what it used."""

import re
from collections.abc import Collection, Mapping
from typing import Any, cast

from pydantic_ai.messages import ModelResponse, TextPart, ThinkingPart, ToolCallPart

from agentflow.contracts.budget import MOST_TOKENS, Usage
from agentflow.contracts.messages import AssistantMessage
from agentflow.core.finish import CUT_OFF, MISSING, WORDS, words_of
from agentflow.core.usage import least_tokens

_FINISHED = ("stop", "tool_call")
"""pydantic-ai's words for a finished answer. It says "stop" as well where the provider gave no word."""
_SAYS_NO_WORD = ("xai",)
"""Providers whose own word pydantic-ai doesn't keep; it maps no other than theirs."""
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
"""What a provider wrote goes into history only where it looks like a word."""
UNKNOWN = "unknown"
_TOTAL = "total_tokens"


def finish_reason(
    response: ModelResponse, message: AssistantMessage, provider: str, also: Collection[str] = ()
) -> str:
    """How an answer ended: ``stop`` or ``tool_call`` if it is finished, ``length`` if it was cut off.

    Else it is the provider's word, or ``missing``.

    Args:
        response: The answer.
        message: What is read in it.
        provider: The provider's name in ``provider:model``.
        also: More words for a finished answer, of the server that answered; ``missing`` takes none for one.
    """
    details = cast(Mapping[str, Any], response.provider_details or {})
    normal = response.finish_reason
    word = _word(details.get("finish_reason"), normal if provider in _SAYS_NO_WORD else None)
    for_finished = {*also, *words_of(provider), *WORDS}
    if normal == CUT_OFF:
        return CUT_OFF
    if normal not in (*_FINISHED, None):
        return word if word not in (MISSING, *for_finished) else str(normal)
    if details.get("refusal"):
        return "refusal"
    finished = word in also or (word in for_finished and normal is not None)
    if response.state != "complete":
        return response.state if word in (MISSING, *for_finished) else word
    if finished:
        # Announced and not there, it is no answer: the run sees that there is no call.
        announced = normal == "tool_call" and not _has_call(response)
        return "tool_call" if message.tool_calls or announced else "stop"
    # A word for finished that pydantic-ai doesn't take for one.
    return UNKNOWN if word in for_finished else word


def to_usage(response: ModelResponse) -> Usage:
    """What a provider says was used. Figures that are no counts are named, and left out.

    Reasoning, and what else is not kept of an answer, is held against the report here.
    """
    usage = response.usage
    details = usage.details
    if usage.unmeasured_requests:
        return Usage(doubt="the provider reported no usage")
    if not usage.input_tokens and not usage.output_tokens:
        # So it is where pydantic-ai could not read the report, as with a negative count.
        return Usage(doubt="the provider reported no usage that can be read")
    reasoning: tuple[object, ...] = (
        usage.output_reasoning_tokens,
        details.get("reasoning_tokens", 0),
        details.get("thoughts_tokens", 0),
    )
    both = (usage.input_tokens, usage.output_tokens)
    total = details.get(_TOTAL)
    if all(map(_is_count, both)) and total == sum(both):
        # What follows from the rest takes no place in history.
        total = None
    figures: dict[str, object] = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_write_input_tokens": usage.cache_write_tokens,
        "reasoning_output_tokens": _greatest(reasoning),
        _TOTAL: total,
    }
    wrong = [
        f"{name} of {value!r}"[:60]
        for name, value in figures.items()
        if not (_is_count(value) or (value is None and name == _TOTAL))
    ]
    counts = {name: value for name, value in figures.items() if _is_count(value)}
    doubt = f"no counts: {', '.join(wrong)}"[:200] if wrong else ""
    least = _least_output_tokens(response)
    if not doubt and usage.output_tokens < least:
        doubt = f"{usage.output_tokens} output tokens for an answer of {least} at least, reasoning included"
    return Usage.model_validate({**counts, "doubt": doubt})


def _word(raw: object, instead: str | None) -> str:
    if raw is None:
        return instead or MISSING
    text = raw if isinstance(raw, str) else ""
    return text if _WORD.fullmatch(text) else UNKNOWN


def _greatest(figures: Collection[object]) -> object:
    """The greatest of some figures for the same; one that is no count, if there is any."""
    counts = [cast(int, figure) for figure in figures if _is_count(figure)]
    return max(counts) if len(counts) == len(figures) else next(f for f in figures if not _is_count(f))


def _least_output_tokens(response: ModelResponse) -> int:
    texts: list[str] = []
    for part in response.parts:
        if isinstance(part, ToolCallPart):
            texts.append(part.tool_name + part.args_as_json_str())
        elif isinstance(part, TextPart | ThinkingPart) and part.content:
            texts.append(part.content)
    return sum(map(least_tokens, texts))


def _has_call(response: ModelResponse) -> bool:
    return any(isinstance(part, ToolCallPart) for part in response.parts)


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= MOST_TOKENS
