"""What finds, in a text, what must not leave."""

from collections.abc import Iterable
from typing import Protocol

from agentflow.core.patterns import Finding

__all__ = ["Detector", "Finding"]


class Detector(Protocol):
    """Looks at texts on their way to logs and spans."""

    @property
    def name(self) -> str:
        """For messages."""
        ...

    def find(self, text: str) -> Iterable[Finding]:
        """What must not leave. It is called in a thread of its own, one text at a time.

        What it raises, and what takes it too long, drops the text.
        """
        ...
