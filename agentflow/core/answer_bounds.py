"""Bounds of what a model may ask for in one answer: they are held where the answer comes in."""

from typing import cast

from agentflow.contracts.messages import AssistantMessage, ToolCall
from agentflow.contracts.wire import MAX_DEPTH, Json, canonical_json
from agentflow.core.constrained import invalid_arguments

MAX_ARGUMENTS_DEPTH = MAX_DEPTH - 20
"""Levels of nesting in the arguments of a call. What they are put into has some levels of its own."""


def too_many_calls(message: AssistantMessage, most: int) -> str | None:
    """Why an answer is not used that asks for more calls than it may; ``None`` if it doesn't.

    Args:
        message: The answer.
        most: ``ModelOptions.max_tool_calls``.
    """
    count = len(message.tool_calls)
    if count <= most:
        return None
    return (
        f"it asks for {count:,} tool calls at once, and {most:,} are the most (ModelOptions.max_tool_calls)"
    )


def too_long(message: AssistantMessage, most: int) -> str | None:
    """Why an answer is not used that is longer than a payload may be; ``None`` if it isn't.

    Args:
        message: The answer.
        most: Bytes of JSON that it may have.
    """
    size = len(canonical_json(message.model_dump(mode="json"), max_depth=2 * MAX_DEPTH))
    if size <= most:
        return None
    return f"it is {size:,} bytes long, and {most:,} are the most that a payload of the worker takes"


def with_shallow_arguments(message: AssistantMessage) -> AssistantMessage:
    """The answer. A call whose arguments are nested too deep to be written down is refused, without them."""
    return message.model_copy(update={"tool_calls": tuple(map(_shallow, message.tool_calls))})


def _shallow(call: ToolCall) -> ToolCall:
    if not _is_deep(cast(Json, call.arguments), MAX_ARGUMENTS_DEPTH):
        return call
    problem = f"the arguments are nested deeper than {MAX_ARGUMENTS_DEPTH} levels"
    return call.model_copy(
        update={"arguments": invalid_arguments(problem), "written": {}, "problem": problem}
    )


def _is_deep(value: Json, left: int) -> bool:
    """Whether a value has more than ``left`` levels. Without recursion: it may have any number."""
    level = [value]
    for _ in range(left + 1):
        level = [part for one in level for part in _parts(one)]
        if not level:
            return False
    return True


def _parts(value: Json) -> list[Json]:
    if isinstance(value, dict):
        return list(cast(dict[str, Json], value).values())
    return cast(list[Json], value) if isinstance(value, list) else []
