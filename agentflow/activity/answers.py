"""Answers of models, kept until Temporal has them: a provider's answer is not bought twice."""

import structlog
from pydantic import ValidationError

from agentflow.contracts.model import ChatRequest, ChatResponse
from agentflow.contracts.wire import Contract, Sha256, canonical_json, sha256_of
from agentflow.ports.blobs import BlobStore

_LOG = structlog.get_logger("agentflow")


class _Kept(Contract):
    """An answer, and the hash of its JSON: bytes that were altered are no answer."""

    response: ChatResponse
    hash: Sha256


class AnswerStore:
    """Keeps the answer to each model call in the blob store, where a later attempt finds it.

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
        try:
            kept = _Kept.model_validate_json(data)
        except ValidationError:
            return None
        return kept.response if kept.hash == _hash(kept.response) else None

    async def put(self, root: Sha256, call: Sha256, response: ChatResponse) -> None:
        """Keep the answer to the call of this name."""
        kept = _Kept(response=response, hash=_hash(response))
        try:
            await self._blobs.put(root, call, canonical_json(kept.model_dump(mode="json")))
        except OSError as error:
            _LOG.warning("answer not stored", error=str(error)[:500])


def call_key(request: ChatRequest, run_id: str) -> Sha256:
    """Names a model call: all that is asked, at one place of one conversation of one execution.

    Within an execution the same call comes again only when it is tried again. The execution is part of it,
    since whoever resets a run wants another answer. The time-out is not, nor whether the conversation was
    sent in full.
    """
    asked = request.model_dump(mode="json", exclude={"ancestors", "timeout", "messages"})
    # A tool's text may be there or be named by its hash; the hash is always there.
    messages = [message.model_dump(mode="json", exclude={"content"}) for message in request.messages]
    return sha256_of(["answer", 1, run_id, asked, messages])


def _hash(response: ChatResponse) -> Sha256:
    return sha256_of(response.model_dump(mode="json"))
