"""A model that follows a script: the shipped stand-in for a provider, behind the real port."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agentflow.contracts.budget import Usage
from agentflow.contracts.messages import AssistantMessage, ToolCall
from agentflow.contracts.model import ModelAnswer, ModelCall
from agentflow.contracts.wire import Json, ToolCallId

Line = AssistantMessage | Exception | ModelAnswer
"""What the model says to one request: a message, an error it raises, or an answer with its usage."""
Script = Sequence[Line] | Callable[[ModelCall], Line]

BYTES_A_TOKEN = 4
"""Bytes for a token when a script's usage is counted: what English comes to."""


def answer(value: Json) -> AssistantMessage:
    """A final answer: a string as it is, anything else as JSON."""
    return AssistantMessage(text=value if isinstance(value, str) else json.dumps(value))


def call(tool: str, **arguments: Json) -> AssistantMessage:
    """A request for one tool call."""
    return calls((tool, arguments))


def calls(*wanted: tuple[str, dict[str, Json]]) -> AssistantMessage:
    """A request for several tool calls in one turn."""
    made = tuple(
        ToolCall(id=ToolCallId(f"call_{number}"), tool=tool, arguments=arguments)
        for number, (tool, arguments) in enumerate(wanted, start=1)
    )
    return AssistantMessage(tool_calls=made)


def fault(error: Exception) -> Exception:
    """An error instead of an answer, such as ``ModelUnavailableError``."""
    return error


@dataclass
class ScriptedModel:
    """Fulfils ``ModelClient``: answers from a script.

    A list is followed line by line within each conversation, so that concurrent runs each have it from
    the start; an error in it is one failed request. A function answers each request by itself.
    Conversations are told apart by their first message.
    """

    script: Script
    requests: list[ModelCall] = field(default_factory=list[ModelCall])
    """Every request, failed ones included."""
    _failures: dict[str, int] = field(default_factory=dict[str, int])

    async def chat(self, call: ModelCall) -> ModelAnswer:
        """Say the next line.

        Raises:
            Exception: the line is one, or the script is at its end.
        """
        self.requests.append(call)
        conversation = call.messages[0].model_dump_json() if call.messages else ""
        line = self._line(call, conversation)
        if isinstance(line, Exception):
            self._failures[conversation] = self._failures.get(conversation, 0) + 1
            raise line
        if isinstance(line, ModelAnswer):
            return line
        return ModelAnswer(
            message=line,
            usage=_usage(call, line),
            response_model=call.model.name.partition(":")[2],
            finish_reason="tool_calls" if line.tool_calls else "stop",
        )

    def _line(self, call: ModelCall, conversation: str) -> Line:
        if callable(self.script):
            return self.script(call)
        answers = sum(1 for message in call.messages if message.kind == "assistant")
        position = answers + self._failures.get(conversation, 0)
        if position >= len(self.script):
            raise AssertionError(
                f"the script has {len(self.script)} lines; line {position + 1} was asked for"
            )
        return self.script[position]


def _usage(call: ModelCall, line: AssistantMessage) -> Usage:
    asked = len(call.instructions) + sum(len(message.model_dump_json()) for message in call.messages)
    return Usage(
        input_tokens=asked // BYTES_A_TOKEN + 1,
        output_tokens=len(line.model_dump_json()) // BYTES_A_TOKEN + 1,
    )
