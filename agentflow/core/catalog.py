"""The tools on offer in a run, with their compiled checks."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from agentflow.contracts.messages import ToolCall
from agentflow.contracts.model import ToolOffer
from agentflow.contracts.tools import ToolContract, ToolOptions
from agentflow.contracts.tools import ToolError as ToolProblem
from agentflow.contracts.wire import Json, Sha256, canonical_json, exactly, sha256_of
from agentflow.core.closing import is_closed
from agentflow.core.constrained import INVALID_JSON
from agentflow.core.schema import SchemaCheck, compile_schema
from agentflow.core.schema_parts import without_words
from agentflow.errors import ToolDefinitionError


@dataclass(frozen=True)
class Catalog:
    """Tools by name."""

    contracts: Mapping[str, ToolContract]
    checks: Mapping[str, SchemaCheck]
    """Of the arguments, for each tool."""
    output_checks: Mapping[str, SchemaCheck]
    """Of the output, for each tool that writes: a person may have to tell it."""
    takes: Mapping[str, str]
    """What each tool takes and does: ``what_it_takes``."""
    withheld: Mapping[str, str]
    """Tools that need a scope which isn't granted, by name, and the scope."""

    @staticmethod
    def of(contracts: Iterable[ToolContract], granted: Collection[str] = ()) -> "Catalog":
        """Compile the contracts of the tools whose scopes are all granted.

        Raises:
            ToolDefinitionError: two tools share a name, one takes arguments that its schema doesn't name, or
                has options that can't be, such as a negative price.
            ConfigurationError: a schema is invalid.
        """
        by_name: dict[str, ToolContract] = {}
        for contract in contracts:
            if contract.name in by_name:
                raise ToolDefinitionError(f"two tools are named {contract.name}; rename one")
            check_closed(contract)
            _check_options(contract)
            by_name[contract.name] = contract
        withheld = {
            name: missing
            for name, contract in by_name.items()
            if (missing := ", ".join(scope for scope in contract.scopes if scope not in granted))
        }
        by_name = {name: contract for name, contract in by_name.items() if name not in withheld}
        checks = {
            name: compile_schema(contract.input_schema, f"input schema of tool {name}")
            for name, contract in by_name.items()
        }
        output_checks = {
            name: compile_schema(contract.output_schema, f"output schema of tool {name}")
            for name, contract in by_name.items()
            if contract.effect != "read"
        }
        takes = {name: what_it_takes(contract) for name, contract in by_name.items()}
        return Catalog(by_name, checks, output_checks, takes, withheld)

    def check(self, call: ToolCall) -> ToolProblem | None:
        """Why a call can't be considered at all, in words for the model, or ``None``."""
        contract = self.contracts.get(call.tool)
        if contract is None and (missing := self.withheld.get(call.tool)):
            message = f"{call.tool} needs the scope {missing}, which the release does not grant"
            return ToolProblem(kind="denied", message=message)
        if contract is None:
            known = ", ".join(sorted(self.contracts)) or "none"
            return ToolProblem(
                kind="unknown_tool", message=f"there is no tool {call.tool[:80]!r}; there are: {known}"
            )
        # What stands in the place of arguments that can't be written has its own reason.
        own = call.problem if INVALID_JSON in call.arguments else ""
        problem = own or self.checks[call.tool](call.arguments) or call.problem or None
        if problem is None:
            problem = _too_large(call.arguments, contract.options.max_argument_bytes)
        return None if problem is None else ToolProblem(kind="invalid_arguments", message=problem)

    def offers(self) -> tuple[ToolOffer, ...]:
        """The tools as the model is told of them."""
        return tuple(
            ToolOffer(
                name=contract.name, description=contract.description, input_schema=contract.input_schema
            )
            for contract in self.contracts.values()
        )

    def hash(self) -> Sha256:
        """Covers every contract on offer."""
        return sha256_of([contract.model_dump(mode="json") for contract in self.contracts.values()])


def what_it_takes(contract: ToolContract) -> str:
    """Name what a call of a tool means: its arguments and its effect, in 16 digits.

    A run that was pinned to one contract calls no tool whose contract has another name by now. What is for
    people and models (descriptions, titles, examples) and how it runs (time-outs, retries, price) are no part
    of it.
    """
    content = [without_words(contract.input_schema), contract.effect, contract.recovery]
    return sha256_of(content)[:16]


def _check_options(contract: ToolContract) -> None:
    """Refuse what was made unvalidated: a price that is none would end a run without an outcome."""
    if exactly(ToolOptions, contract.options) is None:
        raise ToolDefinitionError(
            f"tool {contract.name} has options that are not valid: {contract.options!r}"
        )


def check_closed(contract: ToolContract) -> None:
    """See to it that a tool takes nothing, at any level, that its schema doesn't name: no rule looks at it.

    Raises:
        ToolDefinitionError: it may.
    """
    if not is_closed(contract.input_schema):
        advice = "import it anew" if contract.source else 'write "additionalProperties": false'
        raise ToolDefinitionError(
            f"tool {contract.name} takes arguments that its input schema doesn't name, there or in an object "
            f"within, and no rule would look at them: {advice}"
        )


def _too_large(arguments: Json, limit: int) -> str | None:
    try:
        size = len(canonical_json(arguments))
    except (ValueError, TypeError, RecursionError) as error:
        return f"the arguments are not plain JSON: {error}"
    return f"the arguments are {size} bytes; the limit is {limit} bytes" if size > limit else None
