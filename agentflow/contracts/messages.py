"""The conversation, in our own types: no provider's message ever crosses the wire."""

from typing import Annotated, Literal

from pydantic import Field

from agentflow.contracts.wire import Contract, Json, Sha256, ToolCallId, is_empty, is_false, is_none

Label = str
"""Where a text came from: ``instruction``, ``person``, ``tool:<name>`` or ``summary``."""


class ToolCall(Contract):
    """What a model asks to have done. Nothing has been checked against the contract yet."""

    id: ToolCallId
    tool: str
    arguments: dict[str, Json]
    """In their canonical form, where a worker could make it: as the tool gets them, defaults included."""
    written: dict[str, Json] = Field(default_factory=dict, exclude_if=is_empty)
    """Of the arguments that the model wrote otherwise, what it wrote. Nothing but records looks at it."""
    problem: str = Field(default="", exclude_if=is_empty)
    """Why the arguments have no canonical form; the call is then refused."""


class UserMessage(Contract):
    """Text that the run, or a person, gives the model."""

    kind: Literal["user"] = "user"
    text: str
    label: Label = "person"


class AssistantMessage(Contract):
    """A model's answer: text, tool calls, or both."""

    kind: Literal["assistant"] = "assistant"
    text: str = Field(default="", exclude_if=is_empty)
    tool_calls: tuple[ToolCall, ...] = Field(default=(), exclude_if=is_empty)


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
    content: str | None = Field(default=None, exclude_if=is_none)
    is_error: bool = Field(default=False, exclude_if=is_false)


class CompactionMessage(Contract):
    """From here on the model sees a shorter form of what was said before.

    Positions count the messages that the model saw before this one, from 0. What they stand for stays in the
    chain, in history and in the blob store.
    """

    kind: Literal["compaction"] = "compaction"
    strategy: str
    """Which strategy made it."""
    clear_before: int = Field(default=0, ge=0)
    """Texts of tools before this position are replaced by a marker."""
    start: int = Field(default=0, ge=0)
    end: int = Field(default=0, ge=0)
    """Messages from ``start`` up to ``end`` are replaced by ``summary``; none where they are equal."""
    summary: str = ""


Message = Annotated[UserMessage | AssistantMessage | ToolMessage, Field(discriminator="kind")]
"""What a model sees."""

Entry = Annotated[
    UserMessage | AssistantMessage | ToolMessage | CompactionMessage, Field(discriminator="kind")
]
"""What the transcript holds."""
