"""AgentDojo's functions as agentflow tools, each acting on the environment of its run."""

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from agentdojo.functions_runtime import Function, FunctionsRuntime, TaskEnvironment
from agentdojo.task_suite.load_suites import get_suite
from pydantic_core import to_jsonable_python

from agentflow import Tool, ToolContext, ToolError, tool
from benchmarks.agentdojo.suites import OPERATORS, Says

VERSION = "v1.2.2"


@dataclass
class Done:
    """A call that was carried out."""

    call_id: str
    function: str
    arguments: dict[str, Any]


@dataclass
class World:
    """What the tools of one run act on, and what they did."""

    runtime: FunctionsRuntime
    environment: TaskEnvironment
    done: list[Done] = field(default_factory=list[Done])


class Worlds:
    """The worlds of the runs under way, by workflow id. They live in the worker's process."""

    def __init__(self) -> None:
        self.by_run: dict[str, World] = {}


WORLDS = Worlds()


@cache
def tools_of_suite(suite: str) -> tuple[Tool[..., Any], ...]:
    """A suite's functions as tools, with what the operator says of them."""
    says: Mapping[str, Says] = OPERATORS[suite].tools
    functions: list[Function[..., Any]] = get_suite(VERSION, suite).tools
    return tuple(_tool(function, says.get(function.name, Says())) for function in functions)


def _tool(function: Function[..., Any], says: Says) -> Tool[..., Any]:
    decorate = tool(
        effect=says.effect,
        sinks=says.sinks,
        trusted_output=says.trusted_output,
        recovery="key",
    )
    return decorate(_callable(function))


def _callable(function: Function[..., Any]) -> Callable[..., Any]:
    async def act(context: ToolContext, **arguments: Any) -> Any:
        world = WORLDS.by_run[context.workflow_id]
        output, error = world.runtime.run_function(world.environment, function.name, arguments)
        if error:
            raise ToolError(error)
        world.done.append(Done(context.call_id, function.name, arguments))
        # Keys of any kind and dates become what JSON has.
        return json.loads(json.dumps(to_jsonable_python(output)))

    parameters = [
        inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=ToolContext)
    ]
    for name, info in function.parameters.model_fields.items():
        default = inspect.Parameter.empty if info.is_required() else info.default
        parameters.append(
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=info.annotation
            )
        )
    act.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    act.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": Any}
    act.__name__ = act.__qualname__ = function.name
    act.__doc__ = function.description
    return act
