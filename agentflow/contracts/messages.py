"""The conversation, in our own types: no provider's message ever crosses the wire."""

from typing import Annotated, Literal

from pydantic import Field

from agentflow.contracts.wire import Contract, Json, Sha256, ToolCallId

Label = str
"""Where a text came from: ``instruction``, ``person`` or ``tool:<name>``."""


class ToolCall(Contract):
    """What a model asks to have done. Nothing has been checked yet."""

    id: ToolCallId
    tool: str
    arguments: dict[str, Json]


class UserMessage(Contract):
    """Text that the run, or a person, gives the model."""

    kind: Literal["user"] = "user"
    text: str
    label: Label = "person"


class AssistantMessage(Contract):
    """A model's answer: text, tool calls, or both."""

    kind: Literal["assistant"] = "assistant"
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()


class ToolMessage(Contract):
    """What a tool call came to, as the model is told.

    ``content`` is left out where the blob store has it: the text is in history once already, as the
    result of the tool's activity. ``content_hash`` is always there and is what the transcript's
    hash covers, so both forms are the same message.
    """

    kind: Literal["tool"] = "tool"
    tool_call_id: ToolCallId
    tool: str
    content_hash: Sha256
    content: str | None = None
    is_error: bool = False


Message = Annotated[UserMessage | AssistantMessage | ToolMessage, Field(discriminator="kind")]
