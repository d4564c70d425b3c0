"""Only a finished answer is an answer: the words of each provider, as its own SDK lists them."""

import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.contracts.messages import AssistantMessage, ToolCall
from agentflow.contracts.wire import ToolCallId
from agentflow.core.finish import MISSING, unfinished, words_of

SAID = AssistantMessage(text="half a sentence")
CALLED = AssistantMessage(tool_calls=(ToolCall(id=ToolCallId("c"), tool="pay", arguments={}),))
FINISHED = [
    ("openai:m", "stop", SAID),
    ("openai:m", "completed", SAID),
    ("openai-responses:m", "completed", CALLED),
    ("openai-chat:m", "tool_calls", CALLED),
    ("azure:m", "function_call", CALLED),
    ("anthropic:m", "end_turn", SAID),
    ("anthropic:m", "stop_sequence", SAID),
    ("anthropic:m", "tool_use", CALLED),
    ("bedrock:m", "end_turn", SAID),
    ("bedrock:m", "tool_use", CALLED),
    ("google:m", "STOP", SAID),
    ("google-vertex:m", "STOP", CALLED),
    ("mistral:m", "tool_calls", CALLED),
    ("groq:m", "function_call", CALLED),
    ("cohere:m", "COMPLETE", SAID),
    ("cohere:m", "TOOL_CALL", CALLED),
    ("huggingface:m", "eos_token", SAID),
    ("scripted:m", "tool_call", CALLED),
    ("anything:m", "stop", CALLED),
]
UNFINISHED = [
    ("openai:m", "content_filter"),
    ("openai:m", "length"),
    ("openai-responses:m", "incomplete"),
    ("openai-responses:m", "failed"),
    ("openai-responses:m", "cancelled"),
    ("openai-responses:m", "max_output_tokens"),
    ("anthropic:m", "max_tokens"),
    ("anthropic:m", "pause_turn"),
    ("anthropic:m", "refusal"),
    ("anthropic:m", "compaction"),
    ("anthropic:m", "model_context_window_exceeded"),
    ("bedrock:m", "guardrail_intervened"),
    ("bedrock:m", "content_filtered"),
    ("bedrock:m", "malformed_tool_use"),
    ("google:m", "MAX_TOKENS"),
    ("google:m", "SAFETY"),
    ("google:m", "RECITATION"),
    ("google:m", "MALFORMED_FUNCTION_CALL"),
    ("google:m", "FINISH_REASON_UNSPECIFIED"),
    ("google:m", "UNEXPECTED_TOOL_CALL"),
    ("mistral:m", "model_length"),
    ("mistral:m", "error"),
    ("cohere:m", "ERROR"),
    ("cohere:m", "MAX_TOKENS"),
    ("openai-chat:m", "abort"),
    ("openai-chat:m", "load"),
    ("openai-chat:m", MISSING),
    ("openai-chat:m", ""),
    ("openai-chat:m", "unknown"),
    ("openai-chat:m", "STOP"),
    ("openai-chat:m", " stop"),
    ("google:m", "end_turn"),
]


@pytest.mark.parametrize(("model", "word", "message"), FINISHED)
def test_a_providers_own_word_for_it_finishes_an_answer(model, word, message):
    assert unfinished(model, word, message) is None


@pytest.mark.parametrize("message", [SAID, CALLED])
@pytest.mark.parametrize(("model", "word"), UNFINISHED)
def test_any_other_word_says_why_it_is_not_finished(model, word, message):
    assert unfinished(model, word, message) == (word or MISSING)


@given(st.text(max_size=30), st.sampled_from(["openai", "anthropic", "google", "nobody"]))
def test_a_word_that_nobody_knows_finishes_nothing(word, provider):
    known = {"stop", "tool_call", "tool_calls"} | words_of(provider)
    assert (unfinished(f"{provider}:m", word, CALLED) is None) == (word in known)


@pytest.mark.parametrize("word", ["tool_call", "tool_calls", "function_call"])
def test_a_call_that_is_announced_and_not_there_is_missing(word):
    assert unfinished("openai-chat:m", word, SAID) == f"{word} without a tool call"


def test_every_word_of_the_sdks_is_known_to_these_tables():
    from anthropic.types.beta import BetaStopReason
    from cohere.types import ChatFinishReason

    listed = {(model.partition(":")[0], word) for model, word, *_ in [*FINISHED, *UNFINISHED]}
    anthropic = {("anthropic", word) for word in typing.get_args(BetaStopReason)}
    literal = typing.get_args(ChatFinishReason)[0]
    cohere = {("cohere", word) for word in typing.get_args(literal)}
    assert anthropic <= listed
    assert {word for _, word in cohere} - {"STOP_SEQUENCE", "TIMEOUT"} <= {
        w for p, w in listed if p == "cohere"
    }
