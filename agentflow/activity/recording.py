"""The ``record`` local activity: what it is given is in history from then on."""

from agentflow.contracts.recorded import Recorded


async def record(recorded: Recorded) -> Recorded:
    """Give back what is recorded: Temporal keeps the answer, and a replay gets it in place of its own."""
    return recorded
