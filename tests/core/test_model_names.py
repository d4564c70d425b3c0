import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.core.model_names import is_same_model

SAME = [
    ("openai:gpt-4o", "gpt-4o-2024-08-06"),
    ("openai:gpt-4o", "GPT-4o"),
    ("openai:gpt-4", "gpt-4-0613"),
    ("openai:gpt-4o", ""),
    ("anthropic:claude-sonnet-4-5", "claude-sonnet-4-5-20250929"),
    ("anthropic:claude-3-5-haiku-latest", "claude-3-5-haiku-20241022"),
    ("google:gemini-2.0-flash", "models/gemini-2.0-flash-001"),
    ("google-vertex:claude-sonnet-4-5", "claude-sonnet-4-5@20250929"),
    ("mistral:mistral-large-latest", "mistral-large-2411"),
    ("cohere:command-r", "command-r-08-2024"),
    ("bedrock:anthropic.claude-3-haiku", "anthropic.claude-3-haiku-20240307-v1:0"),
    ("openai:smollm2", "smollm2"),
]
OTHER = [
    ("openai:gpt-4o", "gpt-4o-mini"),
    ("openai:gpt-4o-mini", "gpt-4o"),
    ("openai:gpt-4", "gpt-4-32k"),
    ("openai:gpt-5", "gpt-5-pro-2025-10-06"),
    ("openai:gpt-4o-2024-05-13", "gpt-4o-2024-08-06"),
    ("openai:gpt-4o", "gpt-4o-2024-99-99"),
    ("openai:gpt-4o", "gpt-4o-8192"),
    ("anthropic:claude-3-haiku", "claude-3-haiku-but-dear"),
    ("anthropic:claude-haiku-4-5", "claude-opus-4-5-20251101"),
    ("anthropic:claude-sonnet-4", "claude-sonnet-4-5"),
    ("google:gemini-2.5-flash", "gemini-2.5-flash-lite"),
    ("openai:gpt-4o", "azure/gpt-4o"),
]


@pytest.mark.parametrize(("asked", "answered"), SAME)
def test_a_model_answers_under_its_name_and_under_that_with_a_version(asked, answered):
    assert is_same_model(asked, answered)


@pytest.mark.parametrize(("asked", "answered"), OTHER)
def test_another_name_is_another_model(asked, answered):
    assert not is_same_model(asked, answered)


def test_a_deployment_answers_under_the_names_that_it_is_known_by():
    assert is_same_model("azure:ours", "gpt-4o-2024-08-06", ("gpt-4o-2024-08-06",))
    assert not is_same_model("azure:ours", "gpt-5", ("gpt-4o-2024-08-06",))


@given(st.from_regex(r"\A[a-z]{2,8}(-[0-9]{1,2})?\Z"), st.from_regex(r"\A-[a-z]{1,9}\Z"))
def test_no_word_at_the_end_is_a_version_but_latest(name, word):
    if word != "-latest":
        assert not is_same_model(f"p:{name}", name + word)
