"""Our messages as pydantic-ai's, and its answers as ours."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    ModelResponsePart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

from agentflow.contracts.messages import AssistantMessage, Message, ToolCall, ToolMessage, UserMessage
from agentflow.contracts.wire import Json, ToolCallId
from agentflow.core.constrained import (
    derived_call_id,
    encodable,
    invalid_arguments,
    json_object,
    result_text,
)
from agentflow.core.grammar import Schema
from agentflow.errors import ModelRejectedError

_MADE_UP_ID = "pyd_ai_"
"""How pydantic-ai's stand-ins for missing tool call ids begin. They are random: not for us."""
_ANSWER = "answer"


@dataclass(frozen=True)
class AnswerObject:
    """The final answer as an object, which is all that providers can hold an answer to."""

    name: str
    schema: Schema
    wrapped: bool
    """The answer is no object of its own (a list, a union); it is the ``answer`` in one."""

    @classmethod
    def of(cls, name: str, schema: Schema) -> "AnswerObject":
        """The object for a schema: the same one where it describes an object already."""
        if schema.get("type") == "object":
            return cls(name, schema, wrapped=False)
        inside = {key: value for key, value in schema.items() if key != "$defs"}
        definitions = {"$defs": schema["$defs"]} if "$defs" in schema else {}
        wrapper: Schema = {"type": "object", "properties": {_ANSWER: inside}, "required": [_ANSWER]}
        return cls(name, {**wrapper, "additionalProperties": False, **definitions}, wrapped=True)

    def text(self, reply: str) -> str:
        """The answer's own JSON; a reply that isn't in the form stays as it is, for the run to repair."""
        found = json_object(reply) if self.wrapped else None
        return reply if found is None or _ANSWER not in found else _json(found[_ANSWER])


def to_model_messages(messages: Sequence[Message]) -> list[ModelMessage]:
    """The conversation as pydantic-ai has it: requests and responses that take turns.

    Providers refuse a tool call that isn't answered at once, so results come before other texts, and
    a call that was never carried out is answered as such.

    Raises:
        ModelRejectedError: a tool message answers no call.
    """
    converted: list[ModelMessage] = []
    calls: tuple[ToolCall, ...] = ()
    replies: list[UserMessage | ToolMessage] = []
    for message in messages:
        if isinstance(message, AssistantMessage):
            converted += _requests(calls, replies)
            converted.append(_response(message))
            calls, replies = message.tool_calls, []
        else:
            replies.append(message)
    return converted + _requests(calls, replies)


def to_assistant_message(
    response: ModelResponse, answer: AnswerObject | None, call_key: str
) -> AssistantMessage:
    """A model's answer as ours. Reasoning isn't kept; an answer given by the output tool is text.

    Args:
        response: What the model said.
        answer: The form of the final answer, if it has one.
        call_key: The model call's idempotency key; missing tool call ids are derived from it.
    """
    calls: dict[ToolCallId, ToolCall] = {}
    answers: list[str] = []
    for part in response.parts:
        if not isinstance(part, ToolCallPart):
            continue
        if answer and part.tool_name == answer.name:
            answers.append(_arguments_text(part))
            continue
        identity = ToolCallId(part.tool_call_id)
        if not identity or identity.startswith(_MADE_UP_ID) or identity in calls:
            identity = derived_call_id(call_key, len(calls))
        calls[identity] = ToolCall(id=identity, tool=part.tool_name, arguments=_arguments(part))
    # The output tool's arguments are the answer; what the model says beside it isn't. Two answers that differ
    # are none: together they are no JSON, and the model is told so.
    said = [part.content for part in response.parts if isinstance(part, TextPart)]
    texts = ["\n".join(dict.fromkeys(answers))] if answers else said
    text = encodable("".join(texts))
    return AssistantMessage(text=answer.text(text) if answer else text, tool_calls=tuple(calls.values()))


def _requests(calls: Sequence[ToolCall], replies: Sequence[UserMessage | ToolMessage]) -> list[ModelMessage]:
    results = {reply.tool_call_id: reply for reply in replies if isinstance(reply, ToolMessage)}
    if orphans := set(results) - {call.id for call in calls}:
        raise ModelRejectedError(f"tool messages answer no call of the turn before: {sorted(orphans)}")
    parts: list[ModelRequestPart] = [_tool_return(call, results.get(call.id)) for call in calls]
    parts += [UserPromptPart(content=reply.text) for reply in replies if isinstance(reply, UserMessage)]
    return [ModelRequest(parts=parts)] if parts else []


def _tool_return(call: ToolCall, result: ToolMessage | None) -> ToolReturnPart:
    if result is None:
        content, outcome = "This call was not carried out.", "interrupted"
    else:
        content, outcome = result_text(result), "failed" if result.is_error else "success"
    return ToolReturnPart(tool_name=call.tool, content=content, tool_call_id=call.id, outcome=outcome)


def _response(message: AssistantMessage) -> ModelResponse:
    parts: list[ModelResponsePart] = [TextPart(content=message.text)] if message.text else []
    parts += [
        ToolCallPart(tool_name=call.tool, args=call.arguments, tool_call_id=call.id)
        for call in message.tool_calls
    ]
    return ModelResponse(parts=parts)


def _arguments(part: ToolCallPart) -> Schema:
    try:
        raw = _arguments_text(part)
    except (ValueError, TypeError, RecursionError):
        # An object that some SDK has parsed, and that can't be written: nested too deep, with NaN.
        return invalid_arguments("an object that can't be written as JSON, or is nested too deep")
    found = json_object(raw)
    return invalid_arguments(raw) if found is None else found


def _arguments_text(part: ToolCallPart) -> str:
    # A tool without parameters is often called with no arguments at all.
    args = part.args or "{}"
    return args if isinstance(args, str) else _json(cast(Json, args))


def _json(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)
