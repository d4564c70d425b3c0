"""The conversation as a chain of nodes, each hashed over its parent.

``node = hash(version, root, parent, messages)``. The root names the run, so two runs never share a
node, whatever they say, and one run can be erased alone. A tool's text is covered by its own hash, so
that a message by reference and the same message in full make the same node.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agentflow.contracts.messages import AssistantMessage, Message, ToolCall, ToolMessage
from agentflow.contracts.tools import ToolResult
from agentflow.contracts.wire import Json, Sha256, canonical_json, sha256_of
from agentflow.errors import AgentflowError

ENCODING_VERSION = 1


@dataclass(frozen=True)
class Transcript:
    """All that was said in a run: the nodes of the chain, and what no node covers yet."""

    root: Sha256
    head: Sha256 | None = None
    """Name of the last node."""
    nodes: tuple[tuple[Message, ...], ...] = ()
    """The messages of each node, the oldest first, texts of tools included."""
    news: tuple[Message, ...] = ()
    """Said since the last node."""
    stored: frozenset[Sha256] = frozenset()
    """Texts of tools that the blob store has been given."""

    @property
    def messages(self) -> tuple[Message, ...]:
        """The whole conversation."""
        return tuple(message for node in (*self.nodes, self.news) for message in node)

    def add(self, *messages: Message, stored: bool = False) -> "Transcript":
        """Append messages; ``stored`` says that the blob store has the texts of the tools."""
        names = {m.content_hash for m in messages if isinstance(m, ToolMessage)} if stored else set[Sha256]()
        return replace(self, news=(*self.news, *messages), stored=self.stored | names)

    def news_by_reference(self) -> tuple[Message, ...]:
        """What is new, without the texts that the blob store has."""
        return tuple(self._by_reference(message) for message in self.news)

    def answered(self, answer: AssistantMessage, head: Sha256) -> "Transcript":
        """Close a node with a model's answer.

        Raises:
            AgentflowError: the head isn't the hash of what was said: the activity answered for
                another conversation, or was tampered with.
        """
        node = (*self.news, answer)
        expected = node_hash(self.root, self.head, node)
        if head != expected:
            raise AgentflowError(f"the chat activity's transcript head is {head}, expected {expected}")
        return replace(self, head=head, nodes=(*self.nodes, node), news=())

    def _by_reference(self, message: Message) -> Message:
        if isinstance(message, ToolMessage) and message.content_hash in self.stored:
            return message.model_copy(update={"content": None})
        return message


def node_hash(root: Sha256, parent: Sha256 | None, messages: Sequence[Message]) -> Sha256:
    """The name of a node. Covers the encoding's version, the run, the parent and the messages."""
    return sha256_of(
        {"v": ENCODING_VERSION, "root": root, "parent": parent, "messages": [_encoded(m) for m in messages]}
    )


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
    """A tool's result as text for the model: its output as JSON, or what went wrong."""
    said: Json = (
        result.output
        if result.error is None
        else {"error": result.error.kind, "message": result.error.message}
    )
    return canonical_json(said).decode("utf-8", errors="replace")


def text_hash(text: str) -> Sha256:
    """The name of a text in the blob store."""
    return sha256_of(text)


def _encoded(message: Message) -> Json:
    encoded = message.model_dump(mode="json")
    encoded.pop("content", None)
    return encoded
