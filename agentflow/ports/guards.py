"""The doors to guards: what looks at texts before a model sees them, and at outputs before they leave.

A guard says ``None`` to let through, or why not. Whatever else happens in it refuses as well (it raises,
takes too long, answers something else): it could not say yes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agentflow.contracts.wire import Json


@dataclass(frozen=True)
class GuardedText:
    """A text that a model is about to see for the first time."""

    text: str
    label: str
    """Who says it: ``person`` (the task, and people since), ``instruction`` (the agent's code, which may
    quote anybody) or ``tool:<name>``."""


class InputGuard(Protocol):
    """Looks at texts before a model sees them. One instance serves all runs of a worker, concurrently."""

    async def check_input(self, texts: Sequence[GuardedText]) -> str | None:
        """Why a model must not see them, or ``None``. The call of the model waits for the answer."""
        ...


class OutputGuard(Protocol):
    """Looks at what a run has come to before it leaves. One instance serves all runs of a worker."""

    async def check_output(self, output: Json) -> str | None:
        """Why it must not leave, or ``None``.

        Args:
            output: The agent's output and the evidence it cites: ``{"output": …, "evidence": […]}``.
        """
        ...
