"""Answers of models, kept until Temporal has them: a provider's answer is not bought twice."""

import re
from collections.abc import Sequence

from pydantic import TypeAdapter, ValidationError

from agentflow.contracts.messages import Entry
from agentflow.contracts.model import ChatResponse
from agentflow.contracts.wire import Sha256, sha256_of
from agentflow.core.seal import SealKeys
from agentflow.core.transcript import encoded
from agentflow.ports.blobs import BlobStore

_RESPONSE: TypeAdapter[ChatResponse] = TypeAdapter(ChatResponse)
_HEAD = re.compile(rb"([A-Za-z0-9_-]{1,32})\.([0-9a-f]{32})")


class AnswerStore:
    """Finds the answer that an earlier attempt of a model call got, and kept in the blob store.

    A helper, not a guarantee: where the store is lost, is another worker's own, or can't be written, the
    call is made again, and stays charged to the budget.
    """

    def __init__(self, blobs: BlobStore, keys: SealKeys) -> None:
        """Put the parts together.

        Args:
            blobs: Where answers are kept.
            keys: The fleet's: whoever else writes into the store has kept no answer.
        """
        self._blobs = blobs
        self._keys = keys

    async def get(self, root: Sha256, call: Sha256) -> ChatResponse | None:
        """The answer that an earlier attempt got to the call of this name."""
        data = await self._blobs.get(root, call)
        if data is None:
            return None
        # Bytes that were altered, or are of another call, are no answer.
        head, _, said = data.partition(b"\n")
        form = _HEAD.fullmatch(head)
        if form is None:
            return None
        kid, mac = form[1].decode(), bytes.fromhex(form[2].decode())
        if not self._keys.is_genuine(kid, _message(call, said), mac):
            return None
        try:
            return _RESPONSE.validate_json(said)
        except ValidationError:
            return None

    def as_kept(self, call: Sha256, response: ChatResponse) -> bytes:
        """An answer as the blob store has it."""
        said = _RESPONSE.dump_json(response)
        kid, mac = self._keys.mac(_message(call, said))
        return f"{kid}.{mac.hex()}\n".encode() + said


def call_key(parent: Sha256 | None, news: Sequence[Entry], brief: Sha256, run_id: str) -> Sha256:
    """Names a model call: all that is asked, at one place of one conversation of one execution.

    Within an execution the same call comes again only when it is tried again. The execution is part of it,
    since whoever resets a run wants another answer.
    """
    return sha256_of(["answer", 2, run_id, parent, brief, [encoded(message) for message in news]])


def _message(call: Sha256, said: bytes) -> bytes:
    return b"answer\n" + call.encode() + b"\n" + said
