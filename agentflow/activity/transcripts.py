"""The conversation in full, rebuilt from the chain of nodes in the blob store."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import structlog
from pydantic import TypeAdapter, ValidationError

from agentflow.contracts.messages import (
    AssistantMessage,
    CompactionMessage,
    Entry,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from agentflow.contracts.model import Brief
from agentflow.contracts.wire import Contract, Sha256, canonical_json, sha256_of
from agentflow.core.transcript import node_hash, text_hash
from agentflow.errors import BlobMissingError
from agentflow.ports.blobs import BlobStore
from agentflow.telemetry.logs import failure

_LOG = structlog.get_logger("agentflow")

T = TypeVar("T")

Rebuild = Callable[[], Awaitable[Mapping[Sha256, bytes]]]
"""Makes all blobs of the run anew, from its history."""


class _Node(Contract):
    parent: Sha256 | None
    brief: Sha256
    messages: tuple[Entry, ...]


@dataclass(frozen=True)
class Conversation:
    """Everything up to a head."""

    messages: tuple[Entry, ...]
    """Texts included."""
    brief: Sha256 | None
    """Names the brief that the head was answered with; ``None`` before the first answer."""

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """Those that the last answer asked for."""
        last = self.messages[-1] if self.messages else None
        return last.tool_calls if isinstance(last, AssistantMessage) else ()


_NODE: TypeAdapter[_Node] = TypeAdapter(_Node)
_BRIEF: TypeAdapter[Brief] = TypeAdapter(Brief)


class TranscriptStore:
    """Rebuilds and keeps conversations and briefs. Remembers the latest in process, up to a bound."""

    def __init__(self, blobs: BlobStore, max_cached_bytes: int = 32 * 1024 * 1024) -> None:
        self.blobs = blobs
        self.cache: _Cache = _Cache(max_cached_bytes)

    def of_run(self, root: Sha256, rebuild: Rebuild) -> "RunTranscript":
        """The transcript of one run, for one activity.

        Args:
            root: Names the run.
            rebuild: Asked, once at most, when the store lacks something or has other bytes under its name.
        """
        return RunTranscript(self, root, rebuild)


class RunTranscript:
    """What was said in one run."""

    def __init__(self, store: TranscriptStore, root: Sha256, rebuild: Rebuild) -> None:
        self._root = root
        self._blobs = store.blobs
        self._cache = store.cache
        self._rebuild = rebuild
        self._rebuilt: Mapping[Sha256, bytes] | None = None

    async def load(self, head: Sha256 | None) -> Conversation:
        """Everything up to a head.

        Raises:
            BlobMissingError: neither the store nor history has a part of it.
        """
        if head is None:
            return Conversation((), None)
        newer: list[_Node] = []
        place: Sha256 | None = head
        cached = self._cache.get(self._root, head)
        while place is not None and cached is None:
            newer.append(await self._find(place, self._as_node))
            place = newer[-1].parent
            cached = self._cache.get(self._root, place) if place else None
        messages = list(cached.messages if cached else ())
        for node in reversed(newer):
            messages += await self.resolve(node.messages)
        brief = newer[0].brief if newer else cached.brief if cached else None
        if newer:
            self._cache.put(self._root, head, brief, messages)
        return Conversation(tuple(messages), brief)

    async def resolve(self, messages: Sequence[Entry]) -> tuple[Entry, ...]:
        """The messages with the texts that were sent by reference.

        Raises:
            BlobMissingError: neither the store nor history has a text.
        """
        return tuple([await self._resolved(message) for message in messages])

    async def brief(self, name: Sha256, in_full: Brief | None) -> Brief:
        """The brief of a name; one that was sent in full is kept for the calls to come.

        Raises:
            BlobMissingError: neither the store nor history has it.
        """
        if in_full is not None:
            data = encoded_brief(in_full)
            if self._as_brief(name, data) is None:
                raise BlobMissingError(f"the brief that was sent in full is not {name}")
            if self._cache.brief(name) is None:
                self._cache.put_brief(name, in_full)
            await self._keep({name: data})
            return in_full
        if (known := self._cache.brief(name)) is None:
            known = await self._find(name, self._as_brief)
            self._cache.put_brief(name, known)
        return known

    async def extend(
        self,
        parent: Sha256 | None,
        before: Sequence[Entry],
        node: Sequence[Entry],
        texts: Sequence[Entry],
        *,
        head: Sha256 | None = None,
        brief: Sha256,
        also: Mapping[Sha256, bytes] | None = None,
    ) -> Sha256:
        """Keep a new node, and answer its name.

        Args:
            parent: The node before it.
            before: The conversation up to ``parent``.
            node: The new node's messages, as they were sent.
            texts: The same with all texts.
            head: The new node's name, if it has been computed.
            brief: Names what else the model was told.
            also: Other blobs to keep with it.
        """
        head = head or node_hash(self._root, parent, node, brief)
        await self._keep({head: encoded_node(parent, brief, node), **(also or {})})
        self._cache.extend(self._root, parent, before, texts, head=head, brief=brief)
        return head

    async def _keep(self, blobs: Mapping[Sha256, bytes]) -> None:
        try:
            await self._blobs.put_all(self._root, blobs)
        except OSError as error:
            # The store is a cache: what it lacks is made anew from history.
            _LOG.warning("transcript not stored", **failure(error))

    async def _resolved(self, message: Entry) -> Entry:
        if not isinstance(message, ToolMessage) or message.content is not None:
            return message
        return message.model_copy(update={"content": await self._find(message.content_hash, _as_text)})

    async def _find(self, name: Sha256, read: Callable[[Sha256, bytes], T | None]) -> T:
        """What the name stands for: from the store, else from history, and then the store is made whole."""
        data = await self._blobs.get(self._root, name)
        if data is not None and (found := read(name, data)) is not None:
            return found
        if self._rebuilt is None:
            _LOG.warning("transcript rebuilt from history", missing=name, damaged=data is not None)
            self._rebuilt = await self._rebuild()
            await self._keep(self._rebuilt)
        data = self._rebuilt.get(name)
        if data is None or (found := read(name, data)) is None:
            raise BlobMissingError(f"{name} is neither in the blob store nor in the run's history")
        return found

    def _as_node(self, name: Sha256, data: bytes) -> _Node | None:
        try:
            node = _NODE.validate_json(data)
        except ValidationError:
            return None
        whole = node_hash(self._root, node.parent, node.messages, node.brief) == name and all(
            # The node's name covers a text's hash only.
            not isinstance(message, ToolMessage)
            or message.content is None
            or text_hash(message.content) == message.content_hash
            for message in node.messages
        )
        return node if whole else None

    @staticmethod
    def _as_brief(name: Sha256, data: bytes) -> Brief | None:
        try:
            brief = _BRIEF.validate_json(data)
        except ValidationError:
            return None
        return brief if sha256_of(brief.model_dump(mode="json")) == name else None


def encoded_brief(brief: Brief) -> bytes:
    """A brief as the blob store has it."""
    return canonical_json(brief.model_dump(mode="json"))


def encoded_node(parent: Sha256 | None, brief: Sha256, messages: Sequence[Entry]) -> bytes:
    """A node as the blob store has it: texts of tools are blobs of their own, where the store has them."""
    return _NODE.dump_json(_Node(parent=parent, brief=brief, messages=tuple(messages)))


def _as_text(name: Sha256, data: bytes) -> str | None:
    text = data.decode(errors="replace")
    return text if text_hash(text) == name else None


@dataclass
class _Cached:
    head: Sha256
    brief: Sha256 | None
    messages: list[Entry]
    size: int


class _Cache:
    """The latest conversations, one for each run, up to a bound; and the briefs they were had with."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._runs: OrderedDict[Sha256, _Cached] = OrderedDict()
        self._briefs: OrderedDict[Sha256, Brief] = OrderedDict()

    def get(self, root: Sha256, head: Sha256) -> "_Cached | None":
        """The conversation up to a head, if that is where the run was last seen."""
        cached = self._runs.get(root)
        if cached is None or cached.head != head:
            return None
        self._runs.move_to_end(root)
        return cached

    def put(self, root: Sha256, head: Sha256, brief: Sha256 | None, messages: Sequence[Entry]) -> None:
        """Remember a conversation in place of what was known of the run."""
        if (old := self._runs.pop(root, None)) is not None:
            self._bytes -= old.size
        self._runs[root] = _Cached(head, brief, list(messages), sum(_size(message) for message in messages))
        self._bytes += self._runs[root].size
        self._make_room()

    def extend(
        self,
        root: Sha256,
        parent: Sha256 | None,
        before: Sequence[Entry],
        node: Sequence[Entry],
        *,
        head: Sha256,
        brief: Sha256,
    ) -> None:
        """Remember a conversation that went on: its beginning is not copied."""
        cached = self._runs.get(root)
        if cached is None or cached.head != parent:
            self.put(root, head, brief, (*before, *node))
            return
        self._runs.move_to_end(root)
        cached.messages.extend(node)
        size = sum(_size(message) for message in node)
        cached.head, cached.brief, cached.size = head, brief, cached.size + size
        self._bytes += size
        self._make_room()

    def brief(self, name: Sha256) -> Brief | None:
        """The brief of a name, if it was used lately."""
        return self._briefs.get(name)

    def put_brief(self, name: Sha256, brief: Brief) -> None:
        """Remember a brief."""
        self._briefs[name] = brief
        if len(self._briefs) > _MAX_BRIEFS:
            self._briefs.popitem(last=False)

    def _make_room(self) -> None:
        while self._bytes > self._max_bytes and len(self._runs) > 1:
            _, oldest = self._runs.popitem(last=False)
            self._bytes -= oldest.size


def _size(message: Entry) -> int:
    """About how much memory a message takes, in bytes."""
    match message:
        case UserMessage():
            return _OBJECT_BYTES + len(message.text)
        case ToolMessage():
            return _OBJECT_BYTES + len(message.content or "")
        case CompactionMessage():
            return _OBJECT_BYTES + len(message.summary)
        case AssistantMessage():
            calls = sum(_OBJECT_BYTES + len(str(call.arguments)) for call in message.tool_calls)
            return _OBJECT_BYTES + len(message.text) + calls


_OBJECT_BYTES = 800
"""Of a pydantic object with its dictionary, set of fields and short strings: measured on CPython 3.11."""
_MAX_BRIEFS = 256
