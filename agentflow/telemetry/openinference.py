"""OpenTelemetry's names once more in OpenInference's, for backends that read those (Phoenix, Arize)."""

import json
from collections.abc import Mapping
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.util.types import AttributeValue

from agentflow.telemetry import semconv

KIND = "openinference.span.kind"

_KINDS = {
    semconv.INVOKE_AGENT: "AGENT",
    semconv.CHAT: "LLM",
    semconv.EXECUTE_TOOL: "TOOL",
    semconv.DECIDE: "GUARDRAIL",
}
"""By the first word of a span's name; all others are steps of a chain."""

_NAMES = {
    semconv.CONVERSATION_ID: "session.id",
    semconv.AGENT_NAME: "agent.name",
    semconv.PROVIDER_NAME: "llm.provider",
    semconv.RESPONSE_MODEL: "llm.model_name",
    semconv.INPUT_TOKENS: "llm.token_count.prompt",
    semconv.OUTPUT_TOKENS: "llm.token_count.completion",
    semconv.CACHE_READ_TOKENS: "llm.token_count.prompt_details.cache_read",
    semconv.CACHE_WRITE_TOKENS: "llm.token_count.prompt_details.cache_write",
    semconv.REASONING_TOKENS: "llm.token_count.completion_details.reasoning",
    semconv.TOOL_NAME: "tool.name",
    semconv.TOOL_CALL_ID: "tool.id",
    semconv.TOOL_CALL_ARGUMENTS: "input.value",
    semconv.TOOL_CALL_RESULT: "output.value",
}


def openinference(name: str, attributes: Mapping[str, AttributeValue]) -> dict[str, AttributeValue]:
    """What OpenInference calls the attributes of a span, beside what they are called already."""
    first = name.partition(" ")[0]
    told: dict[str, AttributeValue] = {KIND: _KINDS.get(first, "CHAIN")}
    told |= {theirs: attributes[ours] for ours, theirs in _NAMES.items() if ours in attributes}
    if first == semconv.CHAT:
        told |= _of_chat(attributes)
    return told


def _of_chat(attributes: Mapping[str, AttributeValue]) -> dict[str, AttributeValue]:
    told: dict[str, AttributeValue] = {}
    read, written = attributes.get(semconv.INPUT_TOKENS), attributes.get(semconv.OUTPUT_TOKENS)
    if isinstance(read, int) and isinstance(written, int):
        told["llm.token_count.total"] = read + written
    if (cost := attributes.get(semconv.COST_USD)) is not None:
        told["llm.cost.total"] = cost
    for name, ours in (("input", semconv.INPUT_MESSAGES), ("output", semconv.OUTPUT_MESSAGES)):
        if isinstance(messages := attributes.get(ours), str):
            told |= {f"{name}.value": messages, f"{name}.mime_type": "application/json"}
            told |= _messages(f"llm.{name}_messages", messages)
    return told


def _messages(prefix: str, messages: str) -> dict[str, AttributeValue]:
    """Messages taken apart: OpenInference has a name for each field of each."""
    try:
        found: list[dict[str, Any]] = json.loads(messages)
    except ValueError:
        # Cut off by a limit of the SDK's.
        return {}
    told: dict[str, AttributeValue] = {}
    for place, message in enumerate(found):
        here = f"{prefix}.{place}.message"
        told[f"{here}.role"] = str(message.get("role"))
        parts: list[dict[str, Any]] = message.get("parts", [])
        calls = [part for part in parts if part.get("type") == "tool_call"]
        for number, call in enumerate(calls):
            function = f"{here}.tool_calls.{number}.tool_call.function"
            told[f"{function}.name"] = str(call.get("name"))
            told[f"{function}.arguments"] = json.dumps(call.get("arguments"), ensure_ascii=False)
        said = [str(part.get("content", part.get("response"))) for part in parts if part not in calls]
        if said:
            told[f"{here}.content"] = "\n".join(said)
    return told


class OpenInference(SpanProcessor):
    """Gives another processor each span with both names."""

    def __init__(self, inner: SpanProcessor) -> None:
        self._inner = inner

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """A span begins."""
        self._inner.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """A span ends."""
        attributes = dict(span.attributes or {})
        self._inner.on_end(
            ReadableSpan(
                name=span.name,
                context=span.get_span_context(),
                parent=span.parent,
                resource=span.resource,
                attributes={**attributes, **openinference(span.name, attributes)},
                events=span.events,
                links=span.links,
                kind=span.kind,
                status=span.status,
                start_time=span.start_time,
                end_time=span.end_time,
                instrumentation_scope=span.instrumentation_scope,
            )
        )

    def shutdown(self) -> None:
        """No more spans come."""
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what is there. Whether the collector has it."""
        return self._inner.force_flush(timeout_millis)
