"""The door to model providers."""

from typing import Protocol

from agentflow.contracts.model import ModelAnswer, ModelCall


class ModelClient(Protocol):
    """Calls models. One instance serves all runs of a worker, concurrently."""

    async def chat(self, call: ModelCall) -> ModelAnswer:
        """Make one request; no retries of its own, since Temporal retries.

        Raises:
            ModelUnavailableError: may work later (429, 5xx, time-out, lost connection).
            ModelRejectedError: will fail again (400, 401, 403, unknown model); says what to fix.
        """
        ...
