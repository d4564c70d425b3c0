"""What a tool's own types make of a call's arguments."""

from collections.abc import Mapping
from typing import Any, Protocol, TypeGuard

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


class WritesCanonically(Protocol):
    """Anything that knows the canonical form of a tool's arguments."""

    contract: ToolContract

    @property
    def types_run_code(self) -> bool:
        """Whether ``canonical`` calls code of the user's, which may take any time."""
        ...

    def canonical(self, arguments: Mapping[str, Json]) -> dict[str, Json]:
        """The arguments as the tool gets them, defaults included.

        Raises:
            ValueError: they don't fit. The text is for the model.
        """
        ...


def writes_canonically(tool: object) -> TypeGuard[WritesCanonically]:
    """Whether it is a ``WritesCanonically``: ``isinstance`` would look the protocol through at each call."""
    return hasattr(type(tool), "canonical") and hasattr(type(tool), "types_run_code")
