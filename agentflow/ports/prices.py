"""The door to model prices."""

from typing import Protocol

from agentflow.contracts.model import ModelPrice


class PriceBook(Protocol):
    """Knows what models cost, and how much they take. Asked on the worker, once for each run."""

    def price(self, model: str) -> ModelPrice | None:
        """Price of ``provider:model``, or ``None`` when unknown: never a guess, never zero."""
        ...

    def context_tokens(self, model: str) -> int | None:
        """The most tokens that ``provider:model`` takes, answer included; ``None`` when unknown.

        A conversation that outgrows it is made shorter first (``AgentWorkflow.compaction``).
        """
        ...
