"""Tools that call nothing: they answer what they answered in the run that is done again."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentflow.activity.context import ToolContext
from agentflow.activity.tool import DidNotHappen, Happened
from agentflow.adapters.history.finding import Finding, document
from agentflow.contracts.tools import ToolContract
from agentflow.contracts.wire import Json
from agentflow.core.idempotency import arguments_hash
from agentflow.core.schema import compile_schema
from agentflow.errors import ToolError


@dataclass(frozen=True)
class Guess:
    """An answer that nobody gave."""

    tool: str
    arguments: Mapping[str, Json]
    output: Json


@dataclass
class ToolRecord:
    """What the tools of a run answered, and what they are asked now that they were not asked then."""

    answers: dict[str, list[Json | ToolError]] = field(
        default_factory=lambda: defaultdict[str, list[Json | ToolError]](list)
    )
    """By ``arguments_hash``, in their order."""
    outputs: dict[str, Json] = field(default_factory=dict[str, Json])
    """The last output of each tool."""
    guesses: list[Guess] = field(default_factory=list[Guess])
    """Answers to writes that the recorded run did not make."""
    unknown_reads: list[tuple[str, Mapping[str, Json]]] = field(
        default_factory=list[tuple[str, Mapping[str, Json]]]
    )
    """Reads that it did not make: the model was told that nobody knows."""

    @classmethod
    def of(cls, findings: Sequence[Finding]) -> "ToolRecord":
        """What is recorded of a run."""
        record = cls()
        for finding in findings:
            if finding.kind != "tool_call" or "arguments" not in finding.contents:
                continue
            tool = str(finding.facts["tool"])
            key = arguments_hash(tool, document(finding.contents["arguments"]))
            if "output" in finding.contents:
                record.answers[key].append(finding.contents["output"])
                record.outputs[tool] = finding.contents["output"]
            elif "error" in finding.contents:
                record.answers[key].append(ToolError(str(finding.contents["error"])))
        return record

    def answer(self, contract: ToolContract, arguments: Mapping[str, Json]) -> Json:
        """What the tool answers.

        Raises:
            ToolError: as it did then, or nobody knows.
        """
        known = self.answers.get(arguments_hash(contract.name, arguments))
        if known:
            said = known.pop(0) if len(known) > 1 else known[0]
            if isinstance(said, ToolError):
                raise said
            return said
        if contract.effect == "read":
            self.unknown_reads.append((contract.name, arguments))
            raise ToolError("the recorded run did not ask this, and nobody is asked now")
        guess = self.outputs.get(contract.name, _least(contract.output_schema))
        if compile_schema(contract.output_schema, "guess")(guess) is not None:
            raise ToolError(
                "the recorded run did not do this; it is not done, and what it would answer is unknown"
            )
        self.guesses.append(Guess(contract.name, arguments, guess))
        return guess


class RecordedTool:
    """A ``WorkerTool`` that changes nothing."""

    is_bound: bool = True

    def __init__(self, contract: ToolContract, record: ToolRecord) -> None:
        self.contract = contract
        self.__name__: str = contract.name
        self._record = record

    @property
    def has_probe(self) -> bool:
        """Whether it can be asked for an effect: there is never one."""
        return self.contract.recovery == "probe"

    def read(self, arguments: Mapping[str, Json], context: ToolContext) -> Mapping[str, Any]:
        """The arguments."""
        return {"arguments": dict(arguments)}

    async def perform(self, values: Mapping[str, Any]) -> Json:
        """Answer."""
        return self._record.answer(self.contract, values["arguments"])

    async def ask_probe(self, values: Mapping[str, Any]) -> Happened[Any] | DidNotHappen:
        """Nothing ever happened."""
        return DidNotHappen()

    def as_json(self, output: Any) -> Json:
        """The answer as it is."""
        return output

    def __repr__(self) -> str:
        return f"RecordedTool({self.__name__!r})"


def _least(schema: Mapping[str, Json]) -> Json:
    """The least that fits a schema, in the simple cases; whether it does is checked."""
    match schema.get("type"):
        case "object":
            properties = schema.get("properties", {})
            return {name: _least(properties.get(name, {})) for name in schema.get("required", ())}
        case "array":
            return []
        case "string":
            return schema["enum"][0] if schema.get("enum") else ""
        case "integer" | "number":
            return schema.get("minimum", 0)
        case "boolean":
            return False
        case _:
            return None
