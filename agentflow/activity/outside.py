"""An imported tool as a worker carries it out: records, checks and limits as for a function of one's own."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from agentflow.activity.context import ToolContext
from agentflow.activity.tool import DidNotHappen, Happened
from agentflow.contracts.sources import ToolSource
from agentflow.contracts.tools import ToolContract
from agentflow.contracts.wire import Json
from agentflow.core.imported import ImportedTool
from agentflow.errors import ConfigurationError

PATIENCE = 0.9
"""Of a tool's time for one attempt, what an outside system gets: the rest is for recording its answer."""

OutsideCall = Callable[[ToolContract, Mapping[str, Json], ToolContext], Awaitable[Json]]
"""Carries out a call: contract, all arguments with the fixed ones, idempotency key in the context."""
OutsideProbe = Callable[[Mapping[str, Json], ToolContext], Awaitable[Happened[Any] | DidNotHappen]]
"""Asks the outside system whether a call had its effect."""
DriftCheck = Callable[[ToolContract], Awaitable[str | None]]
"""How a tool's source differs by now from what was imported, as a diff; ``None`` if it doesn't."""


@dataclass(frozen=True)
class UnusableOutput:
    """What was done has an answer that can't be told: too long, no JSON. It must not look like a failure."""

    problem: str


class OutsideTool:
    """An imported tool with what carries it out."""

    is_bound: bool = True

    def __init__(
        self, tool: ImportedTool, call: OutsideCall, drift: DriftCheck, probe: OutsideProbe | None = None
    ) -> None:
        self.contract: ToolContract = tool.contract
        self.drift: DriftCheck = drift
        self.__name__: str = tool.contract.name
        self._tool = tool
        self._call = call
        self._probe = probe

    @property
    def has_probe(self) -> bool:
        """Whether the outside system can be asked for a call's effect."""
        return self._probe is not None

    def read(self, arguments: Mapping[str, Json], context: ToolContext) -> Mapping[str, Any]:
        """What the call takes: the arguments, with the fixed ones and the idempotency key."""
        source = self._tool.source
        whole = {**arguments, **source.fixed}
        if source.key_argument:
            whole[source.key_argument] = context.idempotency_key
        return {"arguments": whole, "context": context}

    async def perform(self, values: Mapping[str, Any]) -> Json:
        """Carry the call out."""
        return await self._call(self.contract, values["arguments"], values["context"])

    async def ask_probe(self, values: Mapping[str, Any]) -> Happened[Any] | DidNotHappen:
        """Ask the outside system for the call's effect."""
        assert self._probe is not None  # the worker refuses a tool that should have one
        return await self._probe(values["arguments"], values["context"])

    def as_json(self, output: object) -> Json:
        """The answer, which is JSON already.

        Raises:
            ValueError: it can't be told.
        """
        if isinstance(output, UnusableOutput):
            raise ValueError(output.problem)
        return output

    def __repr__(self) -> str:
        return repr(self._tool)


class OutsideSystem(ABC):
    """What carries imported tools out: an API, an MCP server."""

    source_kind: ClassVar[type[ToolSource]]
    """Whose tools it can carry out."""
    source_name: ClassVar[str]
    """The same in words."""

    def tools(self, *tools: ImportedTool) -> tuple[OutsideTool, ...]:
        """The tools, for a worker's plugin."""
        return tuple(self.tool(tool) for tool in tools)

    def tool(self, tool: ImportedTool, *, probe: OutsideProbe | None = None) -> OutsideTool:
        """One tool, for a worker's plugin.

        Args:
            tool: As it was imported.
            probe: Finds out whether a call had its effect; needed with ``recovery="probe"``.

        Raises:
            ConfigurationError: its source is of another kind.
        """
        if not isinstance(tool.source, self.source_kind):
            raise ConfigurationError(f"{tool!r} is not of {self.source_name}")
        return OutsideTool(tool, self._call, self._drift, probe)

    @abstractmethod
    async def _call(
        self, contract: ToolContract, arguments: Mapping[str, Json], context: ToolContext
    ) -> Json: ...

    @abstractmethod
    async def _drift(self, contract: ToolContract) -> str | None: ...
