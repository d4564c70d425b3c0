"""What the output guard is asked, and what it answers."""

from agentflow.contracts.wire import Contract, Json


class OutputCheck(Contract):
    """What is about to leave."""

    output: Json
    evidence: tuple[Json, ...] = ()
    """What the output cites of tools' outputs."""


class OutputVerdict(Contract):
    """Whether it may."""

    refusal: str | None
    """Why not."""
