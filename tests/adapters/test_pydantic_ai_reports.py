"""How pydantic-ai's answers of each provider end, as ours."""

import typing
from pkgutil import resolve_name
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_ai.messages import FinishReason, ModelResponse, TextPart, ThinkingPart, ToolCallPart
from pydantic_ai.usage import RequestUsage

from agentflow.adapters.pydantic_ai_messages import to_assistant_message
from agentflow.adapters.pydantic_ai_reports import finish_reason, to_usage
from agentflow.core.finish import MISSING, unfinished

FINISHED = {
    "anthropic": {"end_turn", "stop_sequence", "tool_use"},
    "bedrock": {"end_turn", "stop_sequence", "tool_use"},
    "google": {"STOP"},
    "cohere": {"COMPLETE", "STOP_SEQUENCE", "TOOL_CALL"},
}
"""Nothing else of what pydantic-ai maps for a provider is an answer."""
MODULES = {
    "anthropic": "anthropic._response.FINISH_REASON_MAP",
    "bedrock": "bedrock._FINISH_REASON_MAP",
    "google": "google._FINISH_REASON_MAP",
    "cohere": "cohere._FINISH_REASON_MAP",
}
CALL = ToolCallPart("pay", {"account": "eve"}, tool_call_id="c1")


def ended(
    provider: str,
    raw: Any,
    normal: Any,
    *parts: Any,
    also: tuple[str, ...] = (),
    details: dict[str, Any] | None = None,
    state: Any = "complete",
) -> str | None:
    """Why the run takes an answer for unfinished; ``None`` if it is finished."""
    known = details or {}
    response = ModelResponse(
        parts=list(parts) or [TextPart("half a sen")],
        finish_reason=normal,
        provider_details=known if raw is None else {"finish_reason": raw, **known},
        state=state,
    )
    message = to_assistant_message(response, None, "key")
    return unfinished(f"{provider}:m", finish_reason(response, message, provider, also), message)


def words_of(provider: str) -> dict[str, Any]:
    """What pydantic-ai makes of each word of a provider. Its client takes seconds to import."""
    return {
        str(word): normal for word, normal in resolve_name(f"pydantic_ai.models.{MODULES[provider]}").items()
    }


@pytest.mark.parametrize("provider", FINISHED)
def test_only_a_providers_words_for_finished_are(provider):
    finished = set[str]()
    for word, normal in words_of(provider).items():
        if ended(provider, word, normal, *[CALL] * (normal == "tool_call")) is None:
            finished.add(word)
    assert finished == FINISHED[provider]


@pytest.mark.parametrize("normal", [*typing.get_args(FinishReason), None])
def test_a_call_in_an_answer_that_says_no_word_is_not_carried_out(normal):
    assert ended("openai-chat", None, normal, CALL) is not None


@pytest.mark.parametrize("provider", ["openai-chat", "ollama", "somebody"])
def test_a_server_without_words_is_taken_at_its_operators(provider):
    assert ended(provider, None, "stop") == MISSING
    assert ended(provider, None, "stop", also=("missing",)) is None
    assert ended(provider, "eos", None) == "eos"
    assert ended(provider, "eos", None, also=("eos",)) is None


def test_calls_at_the_end_of_a_stop_are_calls():
    assert ended("openai-chat", "stop", "stop", CALL) is None


def test_a_call_that_is_announced_and_not_there_is_missing():
    assert "without a tool call" in (ended("openai-chat", "tool_calls", "tool_call") or "")


def test_a_refusal_beside_a_stop_is_no_answer():
    assert ended("openai-chat", "stop", "stop", details={"refusal": "I won't"}) == "refusal"
    assert ended("openai-chat", None, "content_filter", details={"refusal": "I won't"}) == "content_filter"


def test_an_answer_that_is_suspended_is_none():
    assert ended("anthropic", "pause_turn", None, state="suspended") == "pause_turn"
    assert ended("openai-responses", "completed", "stop", state="suspended") is not None


@pytest.mark.parametrize(
    "raw", ["my secret prompt", "a" * 65, "stop\\n", 7, ["stop"], {"stop": 1}, "\ud800", ""]
)
def test_what_is_no_word_is_not_quoted(raw):
    assert ended("openai-chat", raw, "stop") == "unknown"


@pytest.mark.parametrize(
    "provider", ["anthropic", "google", "openai-chat", "openai-responses", "cohere", "no"]
)
@pytest.mark.parametrize("normal", ["length", "content_filter", "error", None])
@pytest.mark.parametrize("state", ["complete", "suspended"])
def test_what_pydantic_ai_calls_cut_filtered_or_failed_is_never_finished(provider, normal, state):
    words = {word for each in FINISHED for word in words_of(each)}
    said = {"stop", "completed", "tool_call", "function_call", *words, None}
    finished = [word for word in said if ended(provider, word, normal, CALL, state=state) is None]
    assert finished == []


@given(st.text(max_size=20), st.sampled_from(["length", "content_filter", "error", None]))
def test_nor_is_any_other_word_of_it(raw, normal):
    assert ended("nobody", raw, normal, CALL) is not None


LONG = "Let me think about what the customer wants, one thing after the other. " * 20


@pytest.mark.parametrize(
    "parts",
    [
        [ThinkingPart(LONG)],
        [ThinkingPart(LONG), TextPart("no")],
        [TextPart(LONG), ToolCallPart("answer", {"text": "yes"})],
    ],
)
def test_what_is_not_kept_of_an_answer_is_held_against_its_report(parts):
    few, enough = (
        ModelResponse(parts=parts, usage=RequestUsage(input_tokens=500, output_tokens=tokens))
        for tokens in (2, 400)
    )
    assert "output tokens for an answer of" in to_usage(few).doubt
    assert to_usage(enough).doubt == ""
