"""What a project gives ``agentflow demo``: cases, people to stand in, and a check of what really happened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from agentflow.contracts.approval import ApprovalRequest
from agentflow.contracts.outcome import AgentOutcome
from agentflow.contracts.task import AgentTask


@dataclass(frozen=True)
class StandIn:
    """What somebody who read the case would say of a pending action."""

    verdict: Literal["approve", "reject"]
    reason: str


@dataclass(frozen=True)
class EffectCheck:
    """What the outside system itself says, held against the labels."""

    wrong: int
    """Effects that no label accepts."""
    duplicate: int
    """Effects that happened more than once for one call."""


class DemoCase(Protocol):
    """One labelled case."""

    @property
    def case_id(self) -> str:
        """Short and unique; part of the workflow id."""
        ...

    @property
    def title(self) -> str:
        """A few words for the table."""
        ...

    def task(self) -> AgentTask[Any]:
        """What the run starts with."""
        ...

    def stand_in(self, request: ApprovalRequest) -> StandIn:
        """What a person who knows the label says of a pending action."""
        ...

    def proposal(self, outcome: AgentOutcome[Any]) -> str:
        """What the agent proposed or did, in a few words."""
        ...

    def matches(self, outcome: AgentOutcome[Any]) -> bool:
        """Whether the label accepts how the run ended."""
        ...


class DemoSuite(Protocol):
    """The cases, and the check afterwards."""

    @property
    def workflow(self) -> str:
        """The workflow type."""
        ...

    @property
    def output_type(self) -> type[Any]:
        """The type of the outcome's output."""
        ...

    def cases(self, *, everything: bool) -> Sequence[DemoCase]:
        """The short selection, or all."""
        ...

    async def check(self, runs: Mapping[str, DemoCase], environment: Mapping[str, str]) -> EffectCheck:
        """Ask the outside system what really happened.

        Args:
            runs: The cases that were run, by workflow id.
            environment: The worker's, which names the outside system.
        """
        ...
