"""What a function's signature and docstring say of a tool's arguments, and whether its types will do."""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field, create_model

from agentflow.activity.context import ToolContext
from agentflow.contracts.wire import Json
from agentflow.core.argument_types import in_pythons_engine, without_canonical_form
from agentflow.core.closing import mixes_names_with_any
from agentflow.core.schema import compile_schema
from agentflow.errors import ConfigurationError, ToolDefinitionError

_SECTION = re.compile(r"^(Args|Arguments|Returns|Raises|Yields|Note|Notes|Example|Examples):\s*$")


def check_types(label: str, arguments: type[BaseModel], schema: dict[str, Json]) -> None:
    """See to it that what rules look at is what the function gets, and can be checked.

    Raises:
        ToolDefinitionError: of some type, that isn't so.
    """
    try:
        compile_schema(schema, "its input schema")
    except ConfigurationError as error:
        raise ToolDefinitionError(f"{label}: {error}") from error
    problems = [*without_canonical_form(arguments), *in_pythons_engine(arguments)]
    if mixes_names_with_any(schema):
        problems.append(
            "an argument is of a type with names or else any object, which takes what the names leave out: "
            "write one of them"
        )
    named = cast(dict[str, dict[str, Json]], schema.get("properties", {}))
    definitions = schema.get("$defs", {})
    for name, part in named.items():
        if "default" in part and part["default"] is None:
            check = compile_schema({**part, "$defs": definitions}, f"type of {name}")
            if check(None):
                problems.append(f"{name}: its default None doesn't fit its type: write `| None`")
    if problems:
        raise ToolDefinitionError(f"{label}: {'; '.join(problems)}")


def arguments_model(function: Callable[..., Any], hints: Mapping[str, Any]) -> type[BaseModel]:
    """The function's parameters as a closed model: unknown arguments are refused.

    Raises:
        ToolDefinitionError: one has no type, or can't be given by name.
    """
    documented = _parameter_docs(function)
    fields: dict[str, Any] = {}
    for parameter in _parameters(function):
        if parameter.name not in hints:
            raise ToolDefinitionError(f"{function.__qualname__}: parameter {parameter.name} needs a type")
        if hints[parameter.name] is ToolContext:
            continue
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise ToolDefinitionError(f"{function.__qualname__}: {parameter} can't be given by name")
        default = ... if parameter.default is parameter.empty else parameter.default
        # Field(description=None) would erase the description of an Annotated type.
        about = documented.get(parameter.name)
        alias = parameter.name
        described = Field(default, alias=alias, description=about) if about else Field(default, alias=alias)
        # Fields have names of their own, since ``json`` or ``model_config`` mean something to pydantic.
        fields[f"parameter_{len(fields)}"] = (hints[alias], described)
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=False)
    made = cast(Any, create_model)(f"{function.__name__}_arguments", __config__=config, **fields)
    return cast(type[BaseModel], made)


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    parameters = list(inspect.signature(function).parameters.values())
    return parameters[1:] if is_method(function) else parameters


def is_method(function: Callable[..., Any]) -> bool:
    """Whether its first parameter is ``self``."""
    parameters = list(inspect.signature(function).parameters)
    return bool(parameters) and parameters[0] == "self"


def context_parameter(hints: Mapping[str, Any]) -> str | None:
    """Name of the parameter that takes the ``ToolContext``, if there is one."""
    return next((name for name, hint in hints.items() if hint is ToolContext and name != "return"), None)


def description(function: Callable[..., Any]) -> str:
    """The docstring up to its first section."""
    lines: list[str] = []
    for line in inspect.cleandoc(function.__doc__ or "").splitlines():
        if _SECTION.match(line):
            break
        lines.append(line)
    return "\n".join(lines).strip()


def _parameter_docs(function: Callable[..., Any]) -> dict[str, str]:
    """Descriptions from the docstring's ``Args:`` section, in Google's style."""
    found: dict[str, str] = {}
    inside, name = False, None
    for line in inspect.cleandoc(function.__doc__ or "").splitlines():
        if section := _SECTION.match(line):
            inside, name = section[1] in ("Args", "Arguments"), None
        elif inside and (entry := re.match(r"^ {2,4}(\w+)(?: \([^)]*\))?: (.*)$", line)):
            name, found[entry[1]] = entry[1], entry[2].strip()
        elif inside and name and line.strip():
            found[name] += " " + line.strip()
    return found
