"""Answers of models, kept until Temporal has them: a provider's answer is not bought twice."""

import hashlib
from collections.abc import Sequence

from pydantic import TypeAdapter, ValidationError

from agentflow.contracts.messages import Entry
from agentflow.contracts.model import ChatResponse
from agentflow.contracts.wire import Sha256, sha256_of
from agentflow.core.transcript import encoded
from agentflow.ports.blobs import BlobStore

_RESPONSE: TypeAdapter[ChatResponse] = TypeAdapter(ChatResponse)


class AnswerStore:
    """Finds the answer that an earlier attempt of a model call got, and kept in the blob store.

    A helper, not a guarantee: where the store is lost, is another worker's own, or can't be written, the
    call is made again, and stays charged to the budget.
    """

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    async def get(self, root: Sha256, call: Sha256) -> ChatResponse | None:
        """The answer that an earlier attempt got to the call of this name."""
        data = await self._blobs.get(root, call)
        if data is None:
            return None
        # Bytes that were altered are no answer.
        digest, _, said = data.partition(b"\n")
        if digest != _digest(said):
            return None
        try:
            return _RESPONSE.validate_json(said)
        except ValidationError:
            return None


def kept_answer(response: ChatResponse) -> bytes:
    """An answer as the blob store has it."""
    said = _RESPONSE.dump_json(response)
    return _digest(said) + b"\n" + said


def call_key(parent: Sha256 | None, news: Sequence[Entry], brief: Sha256, run_id: str) -> Sha256:
    """Names a model call: all that is asked, at one place of one conversation of one execution.

    Within an execution the same call comes again only when it is tried again. The execution is part of it,
    since whoever resets a run wants another answer.
    """
    return sha256_of(["answer", 2, run_id, parent, brief, [encoded(message) for message in news]])


def _digest(said: bytes) -> bytes:
    return hashlib.sha256(said).hexdigest().encode()
