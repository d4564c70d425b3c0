"""A tool call with its arguments in their canonical form."""

from collections.abc import Mapping
from typing import Protocol

from agentflow.contracts.messages import ToolCall
from agentflow.contracts.tools import ToolContract
from agentflow.contracts.wire import Json, canonical_json
from agentflow.core.defaults import with_defaults
from agentflow.core.schema_parts import without_words
from agentflow.core.typed_arguments import writes_canonically

MAX_PROBLEM = 2_000
"""Characters of what the types say is wrong."""


class _HasContract(Protocol):
    contract: ToolContract


def canonical_call(
    call: ToolCall, tool: _HasContract, offered: Mapping[str, Json], *, is_replayed: bool = False
) -> ToolCall:
    """A call as its tool gets it. What can't be has a ``problem``, and stays as it is.

    Args:
        call: With the arguments as somebody wrote them.
        tool: With its types, where they are at hand and still those on offer. One that only has a
            contract has its defaults; of an imported one the outside system fills in what is left out.
        offered: The input schema that the run is pinned to.
        is_replayed: Whether this is asked again at each replay: then types that make something else of the
            same arguments each time (a random id, the time) are refused.
    """
    try:
        made = _canonical(tool, offered, call.arguments)
        if is_replayed and _is_other(made, _canonical(tool, offered, call.arguments)):
            raise ValueError("the tool's types make something else of them each time: give all arguments")
    except Exception as error:
        # Types are code of the user's, which may raise anything.
        raised = f"the tool's types raised {type(error).__name__}"
        text = str(error) if isinstance(error, ValueError) else raised
        problem = text.encode(errors="replace").decode()[:MAX_PROBLEM] or "the tool's types refuse them"
        return call.model_copy(update={"problem": problem})
    if not _is_other(call.arguments, made):
        return call.model_copy(update={"arguments": made, "written": {}})
    written = {
        name: value
        for name, value in call.arguments.items()
        if name not in made or _is_other(value, made[name])
    }
    return call.model_copy(update={"arguments": made, "written": written})


def _canonical(
    tool: _HasContract, offered: Mapping[str, Json], arguments: dict[str, Json]
) -> dict[str, Json]:
    if tool.contract.source is not None:
        return arguments
    if writes_canonically(tool) and _says_the_same(tool.contract.input_schema, offered):
        return tool.canonical(arguments)
    return with_defaults(offered, arguments)


def _says_the_same(one: Mapping[str, Json], other: Mapping[str, Json]) -> bool:
    """Whether two schemas differ in words only: a new description is no other type."""
    return one == other or without_words(one) == without_words(other)


def _is_other(one: Json, other: Json) -> bool:
    return canonical_json(one) != canonical_json(other)
