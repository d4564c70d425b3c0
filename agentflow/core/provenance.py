"""Where the arguments of a call were seen before, for the person who must decide on it."""

from collections.abc import Mapping, Sequence

from agentflow.contracts.wire import Json, canonical_json
from agentflow.core.policy import PastCall


def sources(
    arguments: Mapping[str, Json], task_input: Json, past_calls: Sequence[PastCall]
) -> dict[str, str]:
    """For each argument: ``task``, ``tool:<name>``, or ``model`` when its value was seen nowhere.

    A value counts as seen when its text occurs in what was given: coarse, and meant for reading.
    """
    task = _text(task_input)
    outputs = [(call.tool, _text(call.output)) for call in past_calls]
    return {name: _source(_text(value).strip('"'), task, outputs) for name, value in arguments.items()}


def _source(needle: str, task: str, outputs: Sequence[tuple[str, str]]) -> str:
    if needle and needle in task:
        return "task"
    return next((f"tool:{tool}" for tool, text in outputs if needle and needle in text), "model")


def _text(value: Json) -> str:
    return canonical_json(value).decode("utf-8", errors="replace")
