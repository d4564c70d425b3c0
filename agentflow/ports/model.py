"""The door to model providers."""

from typing import Protocol

from agentflow.contracts.model import ModelAnswer, ModelCall


class ModelClient(Protocol):
    """Calls models. One instance serves all runs of a worker, concurrently."""

    async def chat(self, call: ModelCall) -> ModelAnswer:
        """Make one request; no retries of its own, since Temporal retries.

        The answer says how it ended in the provider's word or pydantic-ai's (``core.finish``): with any other
        word nothing of it is used. Its usage is what the provider reports, contradictions included.

        Raises:
            ModelUnavailableError: may work later (429, 5xx, time-out, lost connection).
            ModelRejectedError: will fail again (400, 401, 403, unknown model); says what to fix. Either stays
                charged at its worst case unless it is ``unbilled``.
        """
        ...
