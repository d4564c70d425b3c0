"""What was said to models and tools, as attributes of spans: only if asked for, and through a redactor."""

import json
import os
from collections.abc import Sequence

from agentflow.contracts.messages import AssistantMessage, Message, ToolMessage
from agentflow.contracts.model import ModelAnswer, ModelCall
from agentflow.contracts.wire import Json
from agentflow.core.known_values import KnownValues
from agentflow.telemetry import semconv
from agentflow.telemetry.redactor import Redactor

CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
"""OpenTelemetry's switch: ``true``, or in its newer form ``span_only`` or ``span_and_event``."""
MAX_CONTENT = 16_000
"""Characters of one attribute; of a longer conversation the end is told."""
MAX_PART = 4_000
"""Characters of one message, or of one text in a tool's arguments or output."""

Attributes = dict[str, str]


def captures_content() -> bool:
    """Whether the environment asks for contents in spans."""
    return os.environ.get(CAPTURE, "").strip().lower() in ("true", "1", "span_only", "span_and_event")


class SpanContent:
    """Contents as OpenTelemetry's conventions have them: JSON in attributes."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def asked(self, call: ModelCall, known: KnownValues) -> Attributes:
        """What a model is told."""
        messages = [_input_message(message) for message in call.messages]
        told = {semconv.INPUT_MESSAGES: self._last(messages, known)}
        if call.instructions:
            parts: Json = [{"type": "text", "content": call.instructions}]
            told[semconv.SYSTEM_INSTRUCTIONS] = self._last(parts, known)
        return told

    def answered(self, answer: ModelAnswer, known: KnownValues) -> Attributes:
        """What it answers."""
        message = {**_assistant(answer.message), "finish_reason": answer.finish_reason}
        return {semconv.OUTPUT_MESSAGES: self._last([message], known)}

    def arguments(self, arguments: Json, known: KnownValues) -> Attributes:
        """What a tool is asked."""
        return {semconv.TOOL_CALL_ARGUMENTS: self._one(arguments, known)}

    def result(self, output: Json, known: KnownValues) -> Attributes:
        """What it answers."""
        return {semconv.TOOL_CALL_RESULT: self._one(output, known)}

    def _one(self, value: Json, known: KnownValues) -> str:
        return _text(self._clean(value, known))[:MAX_CONTENT]

    def _last(self, messages: Sequence[Json], known: KnownValues) -> str:
        """As many of the last messages as there is room for, as a JSON array."""
        kept: list[str] = []
        left = MAX_CONTENT
        for message in reversed(messages):
            text = _text(self._clean(message, known))
            left -= len(text) + 1
            if left < 0 and kept:
                break
            kept.append(text)
        return f"[{','.join(reversed(kept))}]"

    def _clean(self, value: Json, known: KnownValues) -> Json:
        return self._redactor.json(value, known, limit=MAX_PART)


def _input_message(message: Message) -> Json:
    if isinstance(message, AssistantMessage):
        return _assistant(message)
    if isinstance(message, ToolMessage):
        response = {"type": "tool_call_response", "id": message.tool_call_id, "response": message.content}
        return {"role": "tool", "parts": [response]}
    return {"role": "user", "parts": [{"type": "text", "content": message.text}]}


def _assistant(message: AssistantMessage) -> dict[str, Json]:
    parts: list[Json] = [{"type": "text", "content": message.text}] if message.text else []
    parts += [
        {"type": "tool_call", "id": call.id, "name": call.tool, "arguments": call.arguments}
        for call in message.tool_calls
    ]
    return {"role": "assistant", "parts": parts}


def _text(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
