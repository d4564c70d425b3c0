"""The door to model prices."""

from typing import Protocol

from agentflow.contracts.model import ModelPrice


class PriceBook(Protocol):
    """Knows what models cost. Asked once a run, on the worker, and pinned into the manifest."""

    def price(self, model: str) -> ModelPrice | None:
        """Price of ``provider:model``, or ``None`` when unknown: never a guess, never zero."""
        ...
