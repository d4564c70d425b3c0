"""Spans with OpenInference's names, by its own list of them."""

import json

import pytest
from openinference.semconv import trace as conventions
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agentflow.telemetry import semconv
from agentflow.telemetry.openinference import OpenInference, openinference

ASKED = [{"role": "user", "parts": [{"type": "text", "content": "hello"}]}]
ANSWERED = [
    {
        "role": "assistant",
        "parts": [
            {"type": "text", "content": "I look."},
            {"type": "tool_call", "id": "1", "name": "look", "arguments": {"at": "a"}},
            {"type": "tool_call", "id": "2", "name": "look", "arguments": {"at": "b"}},
        ],
    }
]
CHAT = {
    semconv.CONVERSATION_ID: "run-1",
    semconv.PROVIDER_NAME: "openai",
    semconv.RESPONSE_MODEL: "gpt-5-mini",
    semconv.INPUT_TOKENS: 7,
    semconv.OUTPUT_TOKENS: 5,
    semconv.COST_USD: 0.25,
    semconv.INPUT_MESSAGES: json.dumps(ASKED),
    semconv.OUTPUT_MESSAGES: json.dumps(ANSWERED),
}
KNOWN = {
    value
    for group in vars(conventions).values()
    if isinstance(group, type) and group.__name__.endswith("Attributes")
    for name, value in vars(group).items()
    if not name.startswith("_")
}


def test_a_model_call_has_its_model_its_tokens_and_its_messages() -> None:
    told = openinference("chat gpt-5-mini", CHAT)
    assert told["openinference.span.kind"] == "LLM"
    assert (told["llm.model_name"], told["llm.token_count.total"], told["llm.cost.total"]) == (
        "gpt-5-mini",
        12,
        0.25,
    )
    assert told["llm.input_messages.0.message.content"] == "hello"
    assert told["llm.output_messages.0.message.tool_calls.1.tool_call.function.arguments"] == '{"at": "b"}'


@pytest.mark.parametrize(
    ("name", "kind"),
    [("invoke_agent Refunds", "AGENT"), ("execute_tool pay", "TOOL"), ("agentflow.decide pay", "GUARDRAIL"), ("agentflow.await_approval pay", "CHAIN")],
)  # fmt: skip
def test_each_step_has_its_kind(name: str, kind: str) -> None:
    assert openinference(name, {})["openinference.span.kind"] == kind


def test_all_names_are_of_openinferences_own_list() -> None:
    told = openinference("chat x", CHAT) | openinference(
        "execute_tool x", {key: "x" for key in vars(semconv).values() if isinstance(key, str)}
    )
    names = {name for name in told if not name.startswith(("llm.input_messages.", "llm.output_messages."))}
    assert names <= KNOWN


def test_messages_that_were_cut_off_are_left_out() -> None:
    told = openinference("chat x", {**CHAT, semconv.INPUT_MESSAGES: json.dumps(ASKED)[:-3]})
    assert not [name for name in told if name.startswith("llm.input_messages")]


def test_a_span_keeps_its_own_names_and_its_place() -> None:
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(OpenInference(SimpleSpanProcessor(kept)))
    with provider.get_tracer("t").start_as_current_span("chat x", attributes=CHAT) as outer:
        pass
    (span,) = kept.get_finished_spans()
    assert span.get_span_context() == outer.get_span_context()
    assert (span.attributes or {})[semconv.INPUT_TOKENS] == 7
    assert (span.attributes or {})["llm.token_count.prompt"] == 7
