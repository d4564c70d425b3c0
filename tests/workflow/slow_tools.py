"""A bank that takes its time to answer."""

from agentflow import ToolOptions, tool
from tests.workflow.tools import QUICK, Bank


class SlowBank(Bank):
    """Answers once it is released."""

    @tool(effect="read", options=ToolOptions(retry=QUICK))
    async def look_slowly(self, account: str) -> str:
        """Look at an account, when somebody says so."""
        await self.released.wait()
        return f"{account} has 100.00"
