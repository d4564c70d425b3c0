"""The conversation in full, rebuilt from the chain of nodes in the blob store."""

from collections import OrderedDict
from collections.abc import Sequence

import structlog
from pydantic import TypeAdapter, ValidationError

from agentflow.contracts.messages import Message, ToolMessage
from agentflow.contracts.wire import Contract, Sha256
from agentflow.core.transcript import node_hash, text_hash
from agentflow.errors import BlobMissingError
from agentflow.ports.blobs import BlobStore

_LOG = structlog.get_logger("agentflow")


class _Node(Contract):
    parent: Sha256 | None
    messages: tuple[Message, ...]


_NODE: TypeAdapter[_Node] = TypeAdapter(_Node)


class TranscriptStore:
    """Rebuilds and keeps conversations. Remembers the latest in process, up to a bound."""

    def __init__(self, blobs: BlobStore, max_cached_messages: int = 20_000) -> None:
        self._blobs = blobs
        self._cache: OrderedDict[Sha256, tuple[Message, ...]] = OrderedDict()
        self._cached_messages = 0
        self._max_cached_messages = max_cached_messages

    async def load(self, root: Sha256, head: Sha256 | None) -> tuple[Message, ...]:
        """Everything up to a head, texts included.

        Raises:
            BlobMissingError: the store lost a part, or has other bytes under its name.
        """
        newer: list[tuple[Message, ...]] = []
        while head is not None:
            if (cached := self._cache.get(head)) is not None:
                self._cache.move_to_end(head)
                newer.append(cached)
                break
            node = await self._node(root, head)
            newer.append(await self.resolve(root, node.messages))
            head = node.parent
        return tuple(message for part in reversed(newer) for message in part)

    async def resolve(self, root: Sha256, messages: Sequence[Message]) -> tuple[Message, ...]:
        """The messages with the texts that were sent by reference.

        Raises:
            BlobMissingError: the store lost a text, or has another one under its name.
        """
        return tuple([await self._resolved(root, message) for message in messages])

    async def extend(
        self, root: Sha256, parent: Sha256 | None, before: Sequence[Message], node: Sequence[Message]
    ) -> Sha256:
        """Keep a new node, and answer its name.

        Args:
            root: The run.
            parent: The node before it.
            before: The conversation up to ``parent``.
            node: The new node's messages, texts included.
        """
        head = node_hash(root, parent, node)
        bare = tuple(
            m.model_copy(update={"content": None}) if isinstance(m, ToolMessage) else m for m in node
        )
        try:
            for message in node:
                if isinstance(message, ToolMessage) and message.content is not None:
                    await self._blobs.put(
                        root, message.content_hash, message.content.encode(errors="replace")
                    )
            await self._blobs.put(root, head, _NODE.dump_json(_Node(parent=parent, messages=bare)))
        except OSError as error:
            # The store is a cache: the workflow sends the conversation again when it is missed.
            _LOG.warning("transcript not stored", error=str(error)[:500])
        self._remember(head, (*before, *node))
        return head

    async def restore(self, root: Sha256, nodes: Sequence[Sequence[Message]]) -> Sha256 | None:
        """Put lost nodes back, the oldest first; answer the last one's name."""
        head: Sha256 | None = None
        before: tuple[Message, ...] = ()
        for node in nodes:
            head = await self.extend(root, head, before, node)
            before = (*before, *node)
        return head

    async def _node(self, root: Sha256, name: Sha256) -> _Node:
        data = await self._blobs.get(root, name)
        if data is None:
            raise BlobMissingError(f"transcript node {name} is not in the blob store")
        try:
            node = _NODE.validate_json(data)
        except ValidationError as error:
            raise BlobMissingError(f"transcript node {name} is damaged") from error
        if node_hash(root, node.parent, node.messages) != name:
            raise BlobMissingError(f"transcript node {name} is not what its name says")
        return node

    async def _resolved(self, root: Sha256, message: Message) -> Message:
        if not isinstance(message, ToolMessage) or message.content is not None:
            return message
        data = await self._blobs.get(root, message.content_hash)
        text = None if data is None else data.decode(errors="replace")
        if text is None or text_hash(text) != message.content_hash:
            raise BlobMissingError(
                f"the text {message.content_hash} of {message.tool} is not in the blob store"
            )
        return message.model_copy(update={"content": text})

    def _remember(self, head: Sha256, conversation: tuple[Message, ...]) -> None:
        self._cached_messages += len(conversation) - len(self._cache.pop(head, ()))
        self._cache[head] = conversation
        while self._cached_messages > self._max_cached_messages and len(self._cache) > 1:
            _, oldest = self._cache.popitem(last=False)
            self._cached_messages -= len(oldest)
