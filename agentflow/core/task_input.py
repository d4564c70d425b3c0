"""A task's input as its run goes on with it, whatever becomes of the input type meanwhile."""

from typing import Any

from agentflow.contracts.manifest import TaskInput
from agentflow.contracts.task import AgentTask
from agentflow.contracts.wire import Json, canonical_json


def read_input(task: AgentTask[Any]) -> TaskInput:
    """What the agent's input type of today makes of a task's input."""
    if task.misfit:
        return TaskInput(problem=task.misfit)
    try:
        made = task.model_dump(mode="json", include={"input"})["input"]
    except Exception as error:
        # A type's own code may raise anything. Of a run that is pinned already, nobody reads this.
        return TaskInput(problem=f"the input can't be written as JSON again: {type(error).__name__}")
    try:
        is_as_sent = canonical_json(made) == canonical_json(task.given.get("input"))
    except (ValueError, TypeError):
        is_as_sent = False
    return TaskInput() if is_as_sent else TaskInput(value=made, is_as_sent=False)


def input_of(task: AgentTask[Any], pinned: TaskInput | None) -> Json:
    """The input as JSON, as a run was pinned to it."""
    if pinned is None or pinned.is_as_sent:
        return task.given.get("input")
    return pinned.value
