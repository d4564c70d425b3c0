"""How rules name tools: by a tool's name, or by the tool itself, whose name can't be misspelt."""

from typing import Protocol

from agentflow.contracts.tools import ToolContract
from agentflow.errors import ConfigurationError


class Contracted(Protocol):
    """Anything with a tool contract, such as what ``@tool`` makes."""

    contract: ToolContract


ToolRef = str | Contracted


def tool_name_of(given: object) -> str:
    """The name that a reference is to.

    Raises:
        ConfigurationError: it is neither a name nor a tool.
    """
    if isinstance(given, str):
        return given
    contract = None if isinstance(given, type) else getattr(given, "contract", None)
    if isinstance(contract, ToolContract):
        return contract.name
    raise ConfigurationError(f"a tool is named by its name, or by itself: {given!r} is neither")
