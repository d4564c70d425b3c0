"""Replies of models that have no tool calling of their own: one JSON object, held to a schema.

    {"tool": "<name>", "arguments": {…}}

The final answer is one more such object. Servers (llama.cpp, vLLM, Ollama) turn the schema into a
grammar, so that even a tiny model can't leave the form. What a grammar can't hold is checked later,
against the tool's contract.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from agentflow.contracts.messages import AssistantMessage, Message, ToolCall, ToolMessage, UserMessage
from agentflow.contracts.model import ToolOffer
from agentflow.contracts.wire import Json, ToolCallId, canonical_json, sha256_of
from agentflow.core.grammar import Schema, clipped, embedded, signature
from agentflow.errors import BlobMissingError

INVALID_JSON = "__invalid_json__"
"""Stands for arguments that weren't a JSON object. No contract knows it, so the model is told."""
MAX_INVALID_CHARACTERS = 2000
"""How much of such arguments is kept: enough to see what went wrong."""
MAX_DESCRIPTION = 200
"""How much of a tool's description a small model is shown."""

_FREE_TEXT: Schema = {
    "type": "object",
    "properties": {"text": {"type": "string"}},
    "required": ["text"],
    "additionalProperties": False,
}
_FENCED = re.compile(r"\A\s*```(?:json)?\s*\n(?P<inside>.*)\n\s*```\s*\Z", re.DOTALL)


@dataclass(frozen=True)
class ReplyForm:
    """What a reply may be: a call of one of the tools, or the final answer."""

    tools: tuple[ToolOffer, ...]
    output_schema: Schema | None
    """JSON Schema of the final answer; ``None`` for free text."""
    output_name: str = "final_answer"

    def schema(self) -> Schema | None:
        """The JSON Schema that a reply must fit; ``None`` where it is free.

        With nothing to choose between, it is the final answer's own schema: a tiny model then has
        the least to do.
        """
        if not self.tools:
            return self.output_schema
        definitions: Schema = {}
        tools = [_choice(tool.name, tool.input_schema, definitions) for tool in self.tools]
        answer = _choice(self.output_name, self.output_schema or _FREE_TEXT, definitions)
        return {"anyOf": [*tools, answer], **({"$defs": definitions} if definitions else {})}

    def instructions(self) -> str:
        """What the model is told of the form: short, since a small model has a small context."""
        if not self.tools:
            return "" if self.output_schema is None else f"Answer with JSON: {signature(self.output_schema)}"
        answer = signature(self.output_schema or _FREE_TEXT)
        return "\n".join(
            [
                'Reply with one JSON object only: {"tool": <name>, "arguments": <object>}. Choose one of:',
                *(_offer(tool) for tool in self.tools),
                f"- {self.output_name} {answer}: the final answer, when no other tool is needed",
            ]
        )

    def parse(self, reply: str, call_key: str) -> AssistantMessage:
        """Read a reply. One that isn't in the form comes back as plain text, which the run repairs.

        Args:
            reply: What the model wrote.
            call_key: The model call's idempotency key; the tool call's id is derived from it.
        """
        text = encodable(reply)
        fenced = _FENCED.match(text)
        chosen = json_object(fenced["inside"] if fenced else text) if self.tools else None
        if chosen is None or not isinstance(name := chosen.get("tool"), str):
            return AssistantMessage(text=text)
        arguments = chosen.get("arguments", {})
        if name == self.output_name:
            return AssistantMessage(text=self._answer(arguments))
        if not isinstance(arguments, dict):
            arguments = invalid_arguments(text)
        call = ToolCall(id=derived_call_id(call_key, 0), tool=name, arguments=cast(Schema, arguments))
        return AssistantMessage(tool_calls=(call,))

    def _answer(self, arguments: Json) -> str:
        if self.output_schema is None and isinstance(arguments, dict):
            text = cast(Schema, arguments).get("text")
            if isinstance(text, str):
                return text
        return canonical_json(arguments).decode()


def json_object(text: str) -> Schema | None:
    """The JSON object that a text is, or ``None``.

    Refused with the rest: NaN and infinities, which JSON doesn't have, and lone surrogates, which
    no payload can carry.
    """
    try:
        value = json.loads(text, parse_constant=_refuse)
        canonical_json(value).decode("utf-8")
    except (ValueError, RecursionError):
        return None
    return cast(Schema, value) if isinstance(value, dict) else None


def encodable(text: str) -> str:
    """A text with "?" for the lone surrogates that models write at times and no payload can carry."""
    return text.encode("utf-8", errors="replace").decode("utf-8")


def invalid_arguments(raw: str) -> Schema:
    """Arguments that no contract accepts, so that the model is told what it wrote."""
    return {INVALID_JSON: encodable(raw)[:MAX_INVALID_CHARACTERS]}


def derived_call_id(call_key: str, index: int) -> ToolCallId:
    """An id for a tool call that came without one: the same for every attempt of the model call."""
    return ToolCallId(f"call_{sha256_of(['tool_call_id', call_key, index])[:24]}")


def result_text(message: ToolMessage) -> str:
    """The text of a tool message.

    Raises:
        BlobMissingError: it is there by its hash only; whoever asked for it didn't look it up.
    """
    if message.content is None:
        raise BlobMissingError(f"the result of {message.tool} ({message.content_hash}) is without its text")
    return message.content


def plain_messages(messages: Sequence[Message]) -> tuple[UserMessage | AssistantMessage, ...]:
    """The conversation without tool messages, for models and requests that know no tools.

    Neighbouring texts for the model become one: chat templates of small models insist that user and
    assistant take turns.
    """
    plain: list[UserMessage | AssistantMessage] = []
    for message in messages:
        said = _plain(message)
        if isinstance(said, UserMessage) and plain and isinstance(last := plain[-1], UserMessage):
            plain[-1] = last.model_copy(update={"text": f"{last.text}\n\n{said.text}"})
        else:
            plain.append(said)
    return tuple(plain)


def _choice(name: str, schema: Schema, definitions: Schema) -> Schema:
    return {
        "type": "object",
        "properties": {"tool": {"const": name}, "arguments": embedded(schema, name, definitions)},
        "required": ["tool", "arguments"],
        "additionalProperties": False,
    }


def _offer(tool: ToolOffer) -> str:
    return f"- {tool.name} {signature(tool.input_schema)}: {clipped(tool.description, MAX_DESCRIPTION)}"


def _plain(message: Message) -> UserMessage | AssistantMessage:
    match message:
        case UserMessage():
            return message
        case AssistantMessage():
            calls = (_as_reply(call) for call in message.tool_calls)
            return AssistantMessage(text="\n".join(text for text in (message.text, *calls) if text))
        case ToolMessage():
            verb = "failed" if message.is_error else "returned"
            text = f"{message.tool} {verb}: {result_text(message)}"
            return UserMessage(text=text, label=f"tool:{message.tool}")


def _as_reply(call: ToolCall) -> str:
    return json.dumps({"tool": call.tool, "arguments": call.arguments}, ensure_ascii=False)


def _refuse(constant: str) -> Json:
    raise ValueError(f"{constant} is not JSON")
