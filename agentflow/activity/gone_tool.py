"""Stands for a tool that a run began with, and that its worker doesn't have any more."""

from collections.abc import Mapping
from typing import Any, NoReturn

from agentflow.activity.context import ToolContext
from agentflow.activity.tool import DidNotHappen, Happened
from agentflow.contracts.tools import ToolContract
from agentflow.contracts.wire import Json
from agentflow.errors import ToolUnavailableError


class GoneTool:
    """Fulfils ``WorkerTool`` for inquiries: the ledger is read and written, and nothing is called.

    Whatever a person says of a write has been held against the contract that the run is pinned to.
    """

    def __init__(self, name: str) -> None:
        self.contract: ToolContract = ToolContract(
            name=name,
            description="gone",
            input_schema={"type": "object", "additionalProperties": False},
            output_schema={},
            effect="irreversible",
            recovery="ask",
        )
        self.__name__: str = name

    @property
    def is_bound(self) -> bool:
        """It has nothing to be called with."""
        return False

    @property
    def has_probe(self) -> bool:
        """Nobody can ask the outside system."""
        return False

    def read(self, arguments: Mapping[str, Json], context: ToolContext) -> Mapping[str, Any]:
        """Refuse.

        Raises:
            ToolUnavailableError: always.
        """
        self._refuse()

    async def perform(self, values: Mapping[str, Any]) -> Any:
        """Refuse.

        Raises:
            ToolUnavailableError: always.
        """
        self._refuse()

    async def ask_probe(self, values: Mapping[str, Any]) -> Happened[Any] | DidNotHappen:
        """Refuse.

        Raises:
            ToolUnavailableError: always.
        """
        self._refuse()

    def as_json(self, output: Any) -> Json:
        """The output itself: nobody but a person gives one."""
        return output

    def _refuse(self) -> NoReturn:
        raise ToolUnavailableError(f"this worker has no tool {self.contract.name}")
