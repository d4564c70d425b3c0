"""Why values of a call are not trusted, in words for the person who is asked."""

from collections.abc import Iterator, Mapping, Sequence

from agentflow.contracts.approval import UntrustedValue
from agentflow.contracts.tools import ToolContract
from agentflow.contracts.wire import Json
from agentflow.core.amounts import MIN_DIGITS
from agentflow.core.dates import as_date
from agentflow.core.kinds import Kind, is_telling, kind_of
from agentflow.core.leaves import Leaf
from agentflow.core.provenance import PastCall, Provenance, UntrustedSink
from agentflow.core.trusted_source import Source, occurs

MAX_SHOWN = 10
"""Values of one call. A person who sees ten of them has seen enough, and the arguments stand below."""
MAX_VALUE = 120
"""Characters of one value."""

_NAMES = {"task": "the task", "instruction": "the agent's instructions", "person": "what a person said"}
_SHORT: Mapping[Kind, str] = {
    "money": "a whole number is evidence of an amount only with its currency, or in a field of its name",
    "number": f"a number of fewer than {MIN_DIGITS} digits is evidence only in a field of its name",
    "code": "so short a code is evidence only beside its city or postal code, or in a field of its name",
    "name": "so short a name is evidence only together with the other name, or in a field of its name",
}
_SHORT_TEXT = "it is too short to be evidence, but in a field of its name"


def untrusted_values(
    provenance: Provenance,
    contract: ToolContract | None,
    arguments: Mapping[str, Json],
    past_calls: Sequence[PastCall],
    contracts: Mapping[str, ToolContract],
) -> tuple[UntrustedValue, ...]:
    """The first values of consequence that nothing trusted has, each with the reason.

    Args:
        provenance: What the run may take at its word.
        contract: The tool's; ``None`` for what is no tool call.
        arguments: Of the call.
        past_calls: The run's.
        contracts: Of the tools that it called.
    """
    if contract is None:
        return ()
    found: list[UntrustedValue] = []
    more = 0
    for sink in provenance.untrusted_sinks(contract, arguments):
        for leaf in provenance.untrusted_leaves(contract, arguments, sink):
            if len(found) == MAX_SHOWN:
                more += 1
                continue
            why = _why(leaf, provenance, past_calls, contracts)
            if _is_derived(contract, sink):
                why = f"it is not what the contract's arithmetic comes to, if it comes to anything; {why}"
            found.append(UntrustedValue(argument=sink.argument, value=leaf.text[:MAX_VALUE], why=why))
    if more:
        last = found[-1]
        found[-1] = last.model_copy(update={"why": f"{last.why}; {more} more values are not trusted"})
    return tuple(found)


def _is_derived(contract: ToolContract, untrusted: UntrustedSink) -> bool:
    return any(sink.argument == untrusted.argument and sink.derived for sink in contract.sinks or ())


def _why(
    leaf: Leaf,
    provenance: Provenance,
    past_calls: Sequence[PastCall],
    contracts: Mapping[str, ToolContract],
) -> str:
    for source in provenance.sources:
        if near := _near(leaf, source):
            return f"{near}; {_named(source.label)} has it"
    if said := next(_said_by(leaf, past_calls), None):
        return f"seen only in the output of {said}, {_why_not_believed(said, contracts)}"
    return "seen nowhere in this run: the model made it"


def _near(leaf: Leaf, source: Source) -> str | None:
    """Why what a source says is not enough."""
    if source.mentions(leaf):
        if leaf.is_key and is_telling(leaf.value):
            return None
        return _SHORT.get(kind_of(leaf), _SHORT_TEXT)
    day = as_date(leaf.text)
    if day and (day.month, day.day) in source.days.without_year:
        return "a day without a year is evidence only beside dates of one year, and no other year"
    if len(leaf.text) >= MIN_DIGITS and leaf.text.lower() in source.text.lower():
        return "it is written there in other capitals, or within a longer word"
    return None


def _said_by(leaf: Leaf, past_calls: Sequence[PastCall]) -> Iterator[str]:
    for call in past_calls:
        try:
            # A short value is within many a word.
            has = leaf.text in call.said if is_telling(leaf.value) else occurs(leaf.text, call.said)
            if has:
                yield call.tool
        except (ValueError, ArithmeticError, RecursionError):
            continue


def _why_not_believed(tool: str, contracts: Mapping[str, ToolContract]) -> str:
    contract = contracts.get(tool)
    if contract is not None and contract.trusted_output:
        return "which was asked with a value that nothing trusted has, or has it within a longer text"
    return "which nobody vouches for"


def _named(label: str) -> str:
    return _NAMES.get(label) or f"the output of {label.removeprefix('tool:')}"
