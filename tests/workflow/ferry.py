"""A tool of a pool of its own, which other workers serve than the agent's."""

from agentflow import ToolContext, ToolOptions, tool
from tests.workflow.tools import QUICK

POOL = "ferry-pool"


class Ferry:
    """Tests look at what was sent."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    @tool(effect="write", recovery="key", options=ToolOptions(retry=QUICK, task_queue=POOL))
    async def send(self, context: ToolContext, parcel: str) -> str:
        """Send a parcel."""
        self.sent.append(parcel)
        return f"sent {parcel}"
