"""The conversation as a chain of nodes, each hashed over its parent.

``node = hash(version, root, parent, brief, messages)``. The root names the run, so two runs never share a
node, whatever they say, and one run can be erased alone. A tool's text is covered by its own hash, so
that a message by reference and the same message in full make the same node.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from agentflow.contracts.messages import (
    AssistantMessage,
    CompactionMessage,
    Entry,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from agentflow.contracts.tools import ToolResult
from agentflow.contracts.wire import Json, Sha256, canonical_json, sha256_of
from agentflow.core.compaction import Outline, compact_outline, outlined
from agentflow.errors import AgentflowError

ENCODING_VERSION = 2


@dataclass(frozen=True)
class Transcript:
    """Where the conversation of a run stands: the last node, and what no node covers yet.

    It holds no more than that, however long the conversation: the rest is in history and in the blob store.
    """

    root: Sha256
    head: Sha256 | None = None
    """Name of the last node."""
    news: tuple[Entry, ...] = ()
    """Said since the last node, as it is sent: without the texts that the blob store has."""
    outline: Outline = ()
    """What the model sees of the conversation, compactions carried out."""
    tokens: int = 0
    """An upper bound of its input tokens: the outline's sum."""
    calls: tuple[ToolCall, ...] = ()
    """Those of the last node's answer, in this execution."""

    def add(self, message: Entry, *, stored: bool = False) -> "Transcript":
        """Append a message; ``stored`` says that the blob store has its text."""
        news = (*self.news, by_reference(message) if stored else message)
        if isinstance(message, CompactionMessage):
            outline = compact_outline(self.outline, message)
            return replace(self, news=news, outline=outline, tokens=sum(line.tokens for line in outline))
        line = outlined(message)
        return replace(self, news=news, outline=(*self.outline, line), tokens=self.tokens + line.tokens)

    def answered(self, answer: AssistantMessage, head: str, brief: Sha256) -> "Transcript":
        """Close a node with a model's answer.

        Args:
            answer: The answer.
            head: The beginning of the node's name, as the activity computed it.
            brief: Names what else the model was told.

        Raises:
            AgentflowError: the head isn't the hash of what was said: the activity answered for
                another conversation, or was tampered with.
        """
        name = self.named(head, (*self.news, answer), brief)
        return replace(self.add(answer), head=name, news=(), calls=answer.tool_calls)

    def named(self, head: str, node: Sequence[Entry], brief: Sha256) -> Sha256:
        """The name of a node after the last one.

        Raises:
            AgentflowError: it doesn't begin with ``head``.
        """
        name = node_hash(self.root, self.head, node, brief)
        if not name.startswith(head):
            raise AgentflowError(f"the chat activity's transcript head is {head}, expected {name}")
        return name


def abridged(
    news: Sequence[Entry], calls: Sequence[ToolCall]
) -> tuple[tuple[Sha256, ...], tuple[Entry, ...]]:
    """What is new, as it is sent: names of the texts that answer ``calls``, in their order, and the rest.

    Names do where a call went well and its text is in history: all else follows from the call.
    """
    names: list[Sha256] = []
    for call, message in zip(calls, news, strict=False):
        if not isinstance(message, ToolMessage) or message != _answering(call, message.content_hash):
            break
        names.append(message.content_hash)
    return tuple(names), tuple(news[len(names) :])


def written_out(
    names: Sequence[Sha256], calls: Sequence[ToolCall], messages: Sequence[Entry]
) -> tuple[Entry, ...]:
    """What ``abridged`` was given.

    Raises:
        AgentflowError: there are more names than calls: what was sent belongs to another conversation.
    """
    if len(names) > len(calls):
        raise AgentflowError(f"{len(names)} results answer the parent's {len(calls)} tool calls")
    return (*map(_answering, calls, names), *messages)


def _answering(call: ToolCall, name: Sha256) -> ToolMessage:
    return ToolMessage(tool_call_id=call.id, tool=call.tool, content_hash=name)


def node_hash(root: Sha256, parent: Sha256 | None, messages: Sequence[Entry], brief: Sha256) -> Sha256:
    """The name of a node. Covers the encoding's version, the run, the parent, the messages and the brief."""
    said = [encoded(message) for message in messages]
    return sha256_of(
        {"v": ENCODING_VERSION, "root": root, "parent": parent, "brief": brief, "messages": said}
    )


def encoded(message: Entry) -> Json:
    """An entry as the hashes of nodes cover it: written out, whatever the contracts leave out of JSON."""
    match message:
        case UserMessage():
            return {"kind": message.kind, "text": message.text, "label": message.label}
        case AssistantMessage():
            calls = [
                {"id": call.id, "tool": call.tool, "arguments": call.arguments} for call in message.tool_calls
            ]
            return {"kind": message.kind, "text": message.text, "tool_calls": calls}
        case ToolMessage():
            return {
                "kind": message.kind,
                "tool_call_id": message.tool_call_id,
                "tool": message.tool,
                "content_hash": message.content_hash,
                "is_error": message.is_error,
            }
        case CompactionMessage():
            return message.model_dump(mode="json")
        case _ as never:  # pyright: ignore[reportUnnecessaryComparison]
            assert_never(never)


def by_reference(message: Entry) -> Entry:
    """The message without the text that its hash names."""
    return message.model_copy(update={"content": None}) if isinstance(message, ToolMessage) else message


def tool_message(call: ToolCall, result: ToolResult) -> ToolMessage:
    """A tool's result as the model is told of it."""
    text = tool_text(result)
    return ToolMessage(
        tool_call_id=call.id,
        tool=call.tool,
        content_hash=text_hash(text),
        content=text,
        is_error=not result.ok,
    )


def tool_text(result: ToolResult) -> str:
    """A tool's result as text for the model: its output as JSON, or what went wrong.

    Of an effect that was counted, it is told whose it is, too.

    Of an output longer than ``told_bytes`` it is the beginning, with the whole one's size and a handle: the
    name under which the blob store has it.
    """
    if result.error is not None:
        return _as_text({"error": result.error.kind, "message": result.error.message})
    told: Json = result.output
    if result.counted is not None:
        told = {"counted": result.counted, "output": told}
    whole = _as_text(told)
    if result.told_bytes is None:
        return whole
    raw = whole.encode(errors="replace")
    return _as_text(
        {
            "truncated": f"these are the first {result.told_bytes} of {len(raw)} bytes",
            "handle": text_hash(whole),
            "beginning": raw[: result.told_bytes].decode(errors="ignore"),
        }
    )


def text_hash(text: str) -> Sha256:
    """The name of a text in the blob store."""
    return sha256_of(text)


def _as_text(value: Json) -> str:
    return canonical_json(value).decode("utf-8", errors="replace")
