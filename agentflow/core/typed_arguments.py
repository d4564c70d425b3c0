"""How rules see a call's arguments as the tool's own types."""

from collections.abc import Mapping
from typing import Any, Protocol

from agentflow.contracts.tools import ToolContract
from agentflow.contracts.wire import Json


class ReadsArguments(Protocol):
    """Anything that makes a tool's own types of JSON arguments: a tool is one."""

    contract: ToolContract

    def typed_arguments(self, arguments: Mapping[str, Json]) -> Any:
        """The arguments by attribute.

        Raises:
            ValueError: they don't fit.
        """
        ...
