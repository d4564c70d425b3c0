"""What a worker wants of a tool, whoever wrote it: a function of one's own, or one that was imported."""

from collections.abc import Mapping
from typing import Any, Protocol

from agentflow.activity.context import ToolContext
from agentflow.activity.tool import DidNotHappen, Happened
from agentflow.contracts.tools import ToolContract
from agentflow.contracts.wire import Json


class WorkerTool(Protocol):
    """A tool that can be carried out."""

    contract: ToolContract
    __name__: str

    @property
    def is_bound(self) -> bool:
        """Whether it has all that it needs to be called."""
        ...

    @property
    def has_probe(self) -> bool:
        """Whether the outside system can be asked for a call's effect."""
        ...

    def read(self, arguments: Mapping[str, Json], context: ToolContext) -> Mapping[str, Any]:
        """JSON arguments as what it is called with.

        Raises:
            pydantic.ValidationError: they don't fit.
        """
        ...

    async def perform(self, values: Mapping[str, Any]) -> Any:
        """Call it with what ``read`` gave. What it raises is its own."""
        ...

    async def ask_probe(self, values: Mapping[str, Any]) -> Happened[Any] | DidNotHappen:
        """Call its probe with what ``read`` gave. What it raises is its own."""
        ...

    def as_json(self, output: Any) -> Json:
        """What it answered, as JSON.

        Raises:
            ValueError: it is none.
        """
        ...
