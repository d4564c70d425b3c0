"""``@tool``: a typed async function becomes a tool with a contract.

The contract's JSON Schemas come from the function's types, its description from the docstring. On a
class, ``Tools.lookup`` has the contract (that is what workflow code uses) and ``Tools(...).lookup``
can be called (that is what the worker registers).
"""

import copy
import inspect
import typing
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError
from pydantic_core import SchemaError
from temporalio import workflow

from agentflow.activity.context import ToolContext
from agentflow.activity.tool_types import (
    arguments_model,
    check_types,
    context_parameter,
    description,
    is_method,
)
from agentflow.contracts.tools import LOCAL_LIMIT, Effect, Recovery, Sink, ToolContract, ToolOptions
from agentflow.contracts.wire import Json
from agentflow.core.answer import describe_errors
from agentflow.core.canonical_arguments import ArgumentForm
from agentflow.core.closing import closed
from agentflow.core.schema import compile_schema
from agentflow.errors import ToolDefinitionError

P = ParamSpec("P")
BoundP = ParamSpec("BoundP")
R = TypeVar("R")
S = TypeVar("S")


@dataclass(frozen=True)
class Happened(Generic[R]):
    """A probe's answer: the effect happened, and this is what the tool would have answered."""

    output: R


@dataclass(frozen=True)
class DidNotHappen:
    """A probe's answer: the effect certainly did not happen."""


class Tool(Generic[P, R]):
    """A function with a contract. Made by ``@tool``, never by hand."""

    def __init__(self, function: Callable[..., Awaitable[R]], contract: ToolContract) -> None:
        self.contract = contract
        self._function = function
        self._owner: object = None
        self._probe: Callable[..., Awaitable[Happened[R] | DidNotHappen]] | None = None
        self.__doc__ = function.__doc__
        self.__name__: str = contract.name
        hints = typing.get_type_hints(function, include_extras=True)
        self._context_parameter = context_parameter(hints)
        self._form = ArgumentForm(arguments_model(function, hints), self._check)
        self._output: TypeAdapter[Any] = TypeAdapter(hints["return"])

    @overload
    def __get__(self: "Tool[Concatenate[S, BoundP], R]", instance: S, owner: type) -> "Tool[BoundP, R]": ...
    @overload
    def __get__(self, instance: None, owner: type) -> "Tool[P, R]": ...
    def __get__(self, instance: object, owner: type) -> "Tool[Any, R]":
        """On an instance, the tool bound to it; on the class, the tool itself."""
        if instance is None:
            return self
        bound = copy.copy(self)
        bound._owner = instance
        return bound

    def probe(
        self, function: Callable[P, Awaitable[Happened[R] | DidNotHappen]]
    ) -> Callable[P, Awaitable[Happened[R] | DidNotHappen]]:
        """Decorate the function that asks the outside system whether a call had its effect.

        It takes the tool's parameters, and changes nothing::

            @refund.probe
            async def find_refund(context: ToolContext, order: str) -> Happened[Refund] | DidNotHappen:
                made = await payments.find(context.idempotency_key)
                return Happened(made) if made else DidNotHappen()

        It is asked after an attempt died or failed, when nothing that the attempt began can have an effect
        any more (``ToolOptions.max_effect_delay``). What it raises is tried again; ``EffectUnknownError``
        says for good that it can't tell.

        Raises:
            ToolDefinitionError: the tool's ``recovery`` isn't ``probe``, or the parameters differ.
        """
        label = getattr(function, "__qualname__", repr(function))
        if self.contract.recovery != "probe":
            raise ToolDefinitionError(f'{label} probes a tool without recovery="probe": {self.contract.name}')
        if not inspect.iscoroutinefunction(function):
            raise ToolDefinitionError(f"{label} must be an async function: write `async def`")
        if list(inspect.signature(function).parameters) != list(inspect.signature(self._function).parameters):
            raise ToolDefinitionError(f"{label} must take the same parameters as the tool it probes")
        self._probe = function
        return function

    @property
    def functions(self) -> tuple[Callable[..., Any], ...]:
        """The function that it was made of, and its probe if it has one."""
        return (self._function, *(() if self._probe is None else (self._probe,)))

    @property
    def has_probe(self) -> bool:
        """Whether a function was decorated with ``probe``."""
        return self._probe is not None

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the plain function, unchecked: for tests and for other tools."""
        bound = () if self._owner is None else (self._owner,)
        return await self._function(*bound, *args, **kwargs)

    async def invoke(self, arguments: Mapping[str, Json], context: ToolContext) -> Json:
        """Call the function with JSON arguments, as a model may write them; answer its output as JSON.

        Raises:
            ValueError: the arguments don't fit the function's types.
        """
        return self.as_json(await self.perform(self.read(self.canonical(arguments), context)))

    @property
    def types_run_code(self) -> bool:
        """Whether the types of the arguments call code of the user's: a validator, a default that is made."""
        return self._form.runs_code

    def canonical(self, arguments: Mapping[str, Json]) -> dict[str, Json]:
        """JSON arguments as the function gets them, written as JSON again, defaults included.

        Raises:
            ValueError: they don't fit the function's types, or have no canonical form. The text is for the
                model.
        """
        return self._form.canonical(arguments)

    def read(self, arguments: Mapping[str, Json], context: ToolContext) -> Mapping[str, Any]:
        """JSON arguments in their canonical form as what the function takes, the context included.

        Raises:
            NotCanonicalError: the function would get something else than what they say.
            ValueError: they don't fit the function's types.
        """
        # Not model_dump: the function wants its own models, not dictionaries.
        call = vars(_by_name(self._form.parsed_as_decided(arguments)))
        return {**call, self._context_parameter: context} if self._context_parameter else call

    def typed_arguments(self, arguments: Mapping[str, Json]) -> SimpleNamespace:
        """JSON arguments as the function's own types, by attribute: for rules.

        Raises:
            ValueError: they don't fit.
        """
        return _by_name(self._form.parsed(arguments))

    def _check(self, value: Json) -> str | None:
        return compile_schema(self.contract.input_schema, f"input schema of tool {self.__name__}")(value)

    async def perform(self, values: Mapping[str, Any]) -> R:
        """Call the function with what ``read`` gave. What it raises is its own."""
        bound = () if self._owner is None else (self._owner,)
        return await self._function(*bound, **values)

    async def ask_probe(self, values: Mapping[str, Any]) -> Happened[R] | DidNotHappen:
        """Call the probe with what ``read`` gave. What it raises is its own."""
        assert self._probe is not None  # the worker refuses a tool that should have one
        bound = () if self._owner is None else (self._owner,)
        return await self._probe(*bound, **values)

    def as_json(self, output: object) -> Json:
        """What the function answered, as JSON; whether it fits the contract is for the caller to check.

        Raises:
            ValueError: it holds something that JSON can't.
        """
        # A warning about an output of another type would quote it, secrets included.
        return self._output.dump_python(output, mode="json", warnings=False)

    @property
    def is_bound(self) -> bool:
        """False for a method tool that was taken from its class: it has a contract, but no ``self``."""
        return self._owner is not None or not is_method(self._function)

    def __repr__(self) -> str:
        return f"<tool {self.contract.name} ({self.contract.effect})>"


def tool(
    *,
    effect: Effect,
    scopes: tuple[str, ...] = (),
    sinks: Sequence[str | Sink] | None = None,
    trusted_output: bool = False,
    recovery: Recovery = "ask",
    local: bool = False,
    options: ToolOptions | None = None,
    name: str | None = None,
    sentence: str | None = None,
) -> Callable[[Callable[P, Awaitable[R]]], Tool[P, R]]:
    """Turn a typed async function into a tool.

    Args:
        effect: ``read`` (changes nothing), ``write`` (can be undone), ``irreversible``.
        scopes: Permissions it needs: a release grants them, and rules look at them.
        sinks: Its arguments of consequence: recipient, account, URL, amount, id. Rules ask where their values
            are from. Of a free text it is the places that it names: ``Sink(argument="body", kind="links")``.
            Unless it is said, all arguments are.
        trusted_output: Whether what it says may be taken at its word: a directory, a price list. Never what
            outsiders write.
        recovery: What happens when an attempt died in the middle of a write.
        local: Run it as a local activity, which takes one event of history in place of six and far less time.
            For reads that take a few seconds at most, on the run's own workers.
        options: Time-outs, retry, cost, task queue, size limits.
        name: The tool's and its activity's name; the function's by default.
        sentence: What a call does, for whoever approves it: ``Refund {amount} of {payment}``.

    Raises:
        ToolDefinitionError: the function isn't async, lacks a type or a docstring, or its types have
            no JSON Schema.
    """

    def decorate(function: Callable[P, Awaitable[R]]) -> Tool[P, R]:
        contract = _contract(
            function,
            effect=effect,
            scopes=scopes,
            sinks=None if sinks is None else tuple(Sink.of(sink) for sink in sinks),
            trusted_output=trusted_output,
            recovery=recovery,
            local=local,
            options=options or (ToolOptions(start_to_close_timeout=LOCAL_LIMIT) if local else ToolOptions()),
            name=name or getattr(function, "__name__", ""),
            sentence=sentence,
        )
        return Tool(function, contract)

    return decorate


def tools_of(owner: object) -> tuple[Tool[..., Any], ...]:
    """The bound tools of an object, in the order of their definition."""
    names = [name for kind in reversed(type(owner).__mro__) for name, v in vars(kind).items() if _is_tool(v)]
    return tuple(getattr(owner, name) for name in dict.fromkeys(names))


def _by_name(values: BaseModel) -> SimpleNamespace:
    named = {field.alias or name: name for name, field in type(values).model_fields.items()}
    return SimpleNamespace(**{alias: getattr(values, name) for alias, name in named.items()})


def _is_tool(value: object) -> bool:
    return isinstance(value, Tool)


def _contract(
    function: Callable[..., Awaitable[Any]],
    *,
    effect: Effect,
    scopes: tuple[str, ...],
    sinks: tuple[Sink, ...] | None,
    trusted_output: bool,
    recovery: Recovery,
    local: bool,
    options: ToolOptions,
    name: str,
    sentence: str | None,
) -> ToolContract:
    label = getattr(function, "__qualname__", repr(function))
    if not inspect.iscoroutinefunction(function):
        raise ToolDefinitionError(f"{label} must be an async function: write `async def`")
    about = description(function)
    if not about:
        raise ToolDefinitionError(f"{label} needs a docstring: it is what the model reads")
    hints = typing.get_type_hints(function, include_extras=True)
    if "return" not in hints:
        raise ToolDefinitionError(f"{label} needs a return type: its output is checked against it")
    try:
        arguments = arguments_model(function, hints)
        input_schema = closed(arguments.model_json_schema(mode="validation"))
        output_schema = TypeAdapter[Any](hints["return"]).json_schema(mode="serialization")
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        raise ToolDefinitionError(f"{label}: a type has no JSON Schema: {error}") from error
    except SchemaError as error:
        # A pattern, for one, that pydantic's own engine doesn't take: look-around, back-references.
        said = " ".join(f"{error}".split())
        raise ToolDefinitionError(f"{label}: a type can't be checked in bounded work: {said}") from error
    input_schema.pop("title", None)
    if not workflow.unsafe.in_sandbox():
        # For each run the sandbox makes tools anew, of types that were looked at before.
        check_types(label, arguments, input_schema)
    try:
        return ToolContract(
            name=name,
            description=about,
            input_schema=input_schema,
            output_schema=output_schema,
            effect=effect,
            scopes=scopes,
            sinks=sinks,
            trusted_output=trusted_output,
            recovery=recovery,
            local=local,
            options=options,
            sentence=sentence,
        )
    except ValidationError as error:
        problem = describe_errors(error)
        raise ToolDefinitionError(f"{label} can't be a tool named {name!r}: {problem}") from error
