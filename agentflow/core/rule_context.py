"""What a rule may look at: one call, the run it belongs to, and where its arguments come from."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from agentflow.contracts.budget import Spend
from agentflow.contracts.rules import Tier
from agentflow.contracts.tools import ToolContract
from agentflow.contracts.wire import Json
from agentflow.core.frozen_json import Arguments, frozen
from agentflow.core.provenance import PastCall, Provenance, UntrustedSink
from agentflow.core.tool_reference import ToolRef, tool_name_of
from agentflow.core.typed_arguments import ReadsArguments


@dataclass(frozen=True)
class RuleContext:
    """Everything a rule may look at."""

    tool: ToolContract
    arguments: Mapping[str, Json]
    """They fit the tool's contract already. No rule can change them, at any depth."""
    tier: Tier
    tenant: str
    customer_tier: str
    requested_by: str
    task_input: Json
    """The task's input as JSON."""
    model: str
    model_proven: bool
    """Whether the release names the model as proven for this agent."""
    spend: Spend
    """Of the run so far, what is set aside included."""
    agent: str = ""
    past_calls: tuple[PastCall, ...] = ()
    """Those that were carried out, the oldest first."""
    provenance: Provenance = field(default=Provenance())
    """What the run may take at its word."""
    requester_verified: bool = False
    """Whether anything but the starter's word says that ``requested_by`` asked for the run."""
    frozen: tuple[str, ...] = ()
    """The freezes that hold: nothing may be written."""
    known_arguments: Collection[str] | None = None
    """Names of arguments that some tool of the agent has: ``arguments`` answers for no others. ``None`` where
    they aren't known."""

    def __post_init__(self) -> None:
        """Freeze what rules look at: what one took out, the next would not see, and a tool not get."""
        object.__setattr__(self, "arguments", Arguments.of(self.arguments, self.known_arguments))
        object.__setattr__(self, "task_input", frozen(self.task_input))

    def amount(self, argument: str) -> Decimal:
        """An argument as an exact amount.

        Raises:
            ValueError: it is missing, not a number, not finite or negative: the rule then denies.
        """
        self._check_known(argument)
        value = self.arguments.get(argument)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError(f"{argument} is not an amount")
        return to_amount(str(value))

    def typed(self, tool: ReadsArguments) -> Any:
        """The arguments as the tool's own types, by attribute: ``context.typed(refund).amount_usd``.

        Raises:
            ValueError: the call is for another tool, or the arguments don't fit its types: the rule then
                denies.
        """
        if tool.contract.name != self.tool.name:
            raise ValueError(f"the call is for {self.tool.name}, not for {tool.contract.name}")
        return tool.typed_arguments(self.arguments)

    def outputs(self, tool: ToolRef) -> tuple[Json, ...]:
        """Recorded outputs of a tool in this run, the oldest first."""
        name = tool_name_of(tool)
        return tuple(call.output for call in self.past_calls if call.tool == name)

    def calls(self, tool: ToolRef | None = None) -> int:
        """How many calls of a tool, or of all, this run has carried out."""
        name = None if tool is None else tool_name_of(tool)
        return sum(name in (None, call.tool) for call in self.past_calls)

    def label(self, argument: str) -> str:
        """Where an argument comes from: what it is trusted for, else ``tool:<name>`` or ``model``.

        Raises:
            ValueError: the tool has no such argument: the rule then denies.
        """
        self._check_known(argument)
        return self.provenance.origin(self.tool, self.arguments, argument, self.past_calls)

    def is_trusted(self, argument: str) -> bool:
        """Whether an argument's value is one that something trusted has.

        Raises:
            ValueError: the tool has no such argument: the rule then denies.
        """
        self._check_known(argument)
        return self.provenance.argument_label(self.tool, self.arguments, argument) is not None

    def _check_known(self, argument: str) -> None:
        known = self.tool.input_schema.get("properties", {})
        if argument not in self.arguments and argument not in known:
            raise ValueError(f"{self.tool.name} has no argument {argument!r}; there are: {', '.join(known)}")

    def untrusted_sinks(self) -> tuple[UntrustedSink, ...]:
        """The values that go to a sink of the tool, and that nothing trusted has."""
        return self.provenance.untrusted_sinks(self.tool, self.arguments)


def to_amount(text: str) -> Decimal:
    """A text as an exact amount.

    Raises:
        ValueError: it isn't a finite number, or is negative.
    """
    try:
        amount = Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"{text[:40]!r} is not an amount") from error
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"{text[:40]!r} is not a finite amount of at least zero")
    return amount
