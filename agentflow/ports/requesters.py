"""The door to who asked: whose word does a worker take for it?"""

from typing import Protocol

from agentflow.contracts.requester import RequesterPolicy


class RequesterSource(Protocol):
    """Where a worker has that from. Asked for each run as it begins, and as it continues."""

    async def policy(self) -> RequesterPolicy:
        """Whose word is taken. It is pinned: the run verifies its start by it, and each replay does.

        Raises:
            ConfigurationError: it can't be told; then no run begins.
        """
        ...
