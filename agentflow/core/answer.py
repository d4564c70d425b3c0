"""A model's final answer: text, checked against the type that was asked for."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError
from pydantic_core import from_json

from agentflow.contracts.wire import Json, canonical_json
from agentflow.errors import WorkflowDefinitionError

OutputT = TypeVar("OutputT")

# A whole answer in a Markdown code fence is common and unambiguous; anything else around the JSON is not.
_FENCED = re.compile(r"\A\s*```(?:json)?\s*\n(?P<inside>.*)\n\s*```\s*\Z", re.DOTALL)


@dataclass(frozen=True)
class Accepted(Generic[OutputT]):
    """The answer fits."""

    value: OutputT


@dataclass(frozen=True)
class Unusable:
    """The answer does not fit; the text tells the model what to change."""

    problem: str


@dataclass(frozen=True)
class AnswerForm(Generic[OutputT]):
    """What a final answer must look like."""

    schema: dict[str, Json] | None
    """JSON Schema for the model; ``None`` for free text."""
    parse: Callable[[str], Accepted[OutputT] | Unusable]
    validate: Callable[[Json], Accepted[OutputT] | Unusable]
    """The same check for an answer that a person supplied as JSON."""


def answer_form(output_type: type[OutputT]) -> AnswerForm[OutputT]:
    """The form of an answer of a type: free text for ``str``, else JSON that fits the type.

    Raises:
        WorkflowDefinitionError: the type has no JSON Schema.
    """
    try:
        adapter: TypeAdapter[OutputT] = TypeAdapter(output_type)
        schema = None if output_type is str else adapter.json_schema(mode="validation")
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        raise WorkflowDefinitionError(f"output type {output_type!r} has no JSON Schema: {error}") from error

    def parse(text: str) -> Accepted[OutputT] | Unusable:
        if schema is None:
            return _checked(adapter, text) if text.strip() else Unusable("the answer is empty")
        fenced = _FENCED.match(text)
        return _parsed(adapter, fenced["inside"] if fenced else text)

    return AnswerForm(schema, parse, lambda value: _checked(adapter, value))


def describe_errors(error: ValidationError) -> str:
    """A pydantic error as one line: each field and what is wrong with it, never the values."""
    problems = error.errors(include_input=False, include_url=False, include_context=False)
    return "; ".join(f"{'.'.join(str(p) for p in e['loc']) or 'value'}: {e['msg']}" for e in problems[:5])


def _parsed(adapter: TypeAdapter[Any], text: str) -> Accepted[Any] | Unusable:
    try:
        value = adapter.validate_json(text)
        # Pydantic takes NaN, "NaN" and 1e400 for numbers. A limit lets NaN through, and a payload can't
        # carry it.
        canonical_json(from_json(text))
        canonical_json(adapter.dump_python(value, mode="json", warnings=False))
    except ValidationError as error:
        return Unusable(describe_errors(error))
    except (ValueError, RecursionError) as error:
        return Unusable(f"not plain JSON: {error}")
    return Accepted(value)


def _checked(adapter: TypeAdapter[Any], value: Json) -> Accepted[Any] | Unusable:
    try:
        # As JSON and not as Python values: a strict type takes a date as text only from JSON.
        text = canonical_json(value).decode()
    except (ValueError, TypeError, RecursionError) as error:
        return Unusable(f"not plain JSON: {error}")
    return _parsed(adapter, text)
