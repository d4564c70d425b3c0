"""The door between the two sides of the wall: workflow code sees of a tool its contract only."""

from typing import Protocol

from agentflow.contracts.tools import ToolContract


class HasContract(Protocol):
    """Anything with a tool contract: a tool, or a stand-in for one that runs elsewhere."""

    contract: ToolContract
