"""Whoever watches a run from outside of it. While it runs nobody does; a replay for an auditor may."""

from typing import Protocol

from agentflow.contracts.rules import DecisionRecord
from agentflow.core.budget import Purse


class Witness(Protocol):
    """Is told of what a run keeps to itself. It must not change anything, nor raise."""

    def decided(self, record: DecisionRecord) -> None:
        """A line was added to the decision log."""
        ...

    def spent(self, before: Purse, after: Purse) -> None:
        """The purse changed."""
        ...
