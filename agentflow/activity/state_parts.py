"""Long states on their way from one execution of a run to the next: the blob store has them in between."""

from temporalio import activity
from temporalio.exceptions import ApplicationError

from agentflow.activity.blob_calls import BlobCalls
from agentflow.contracts.carried import StatePart, StatePartWanted
from agentflow.contracts.recorded import Recorded
from agentflow.contracts.wire import Sha256
from agentflow.core.idempotency import run_root
from agentflow.core.transcript import text_hash
from agentflow.ports.blobs import BlobStore


class StateParts:
    """The ``store_state`` local activity, and the ``load_state`` activity."""

    def __init__(self, blobs: BlobStore) -> None:
        """Keep them in a worker's blob store."""
        self._blobs = BlobCalls(blobs)

    async def store_state(self, part: StatePart) -> Recorded:
        """Keep a part of a state.

        Raises:
            OSError: it can't be kept.
        """
        await self._blobs.put(_root(), part.name, part.text.encode())
        return Recorded()

    async def load_state(self, wanted: StatePartWanted) -> StatePart:
        """A part of a state, which is in history from then on.

        Raises:
            ApplicationError: this worker's blob store doesn't have it; another's may.
        """
        found = await self._blobs.get(_root(), wanted.name)
        text = "" if found is None else found.decode(errors="replace")
        if found is None or text_hash(text) != wanted.name:
            what = "is not there" if found is None else "has another content"
            raise ApplicationError(
                f"a part of the run's state {what} in this worker's blob store: {wanted.name}",
                type="StateMissing",
            )
        return StatePart(name=wanted.name, text=text)


def _root() -> Sha256:
    info = activity.info()
    return run_root(info.namespace, info.workflow_id or "")
