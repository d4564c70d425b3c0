"""A model's final answer: text, checked against the type that was asked for."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError
from pydantic_core import from_json, to_jsonable_python

from agentflow.contracts.wire import Json, canonical_json
from agentflow.core.schema import SchemaCheck, compile_schema
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
    fits: SchemaCheck
    """What is wrong with such an answer by the schema alone, which no deploy changes under a run."""


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
        return _parsed(adapter, _unfenced(text))

    return AnswerForm(schema, parse, lambda value: _checked(adapter, value), _fits(schema))


def form_as_pinned(schema: dict[str, Json] | None, present: AnswerForm[Any]) -> AnswerForm[Any]:
    """The form of a run's answer whose worker may have another output type by now.

    An answer that fits the run's schema is the run's output: as the type of today where that says the same,
    else as plain JSON.

    Args:
        schema: As the run was pinned to it.
        present: Of the worker's class.
    """
    if schema == present.schema:
        return present
    fits = _fits(schema)

    def validate(value: Json) -> Accepted[Any] | Unusable:
        if problem := fits(value):
            return Unusable(problem)
        typed = present.validate(value)
        is_same = isinstance(typed, Accepted) and to_jsonable_python(typed.value) == value
        return typed if is_same else Accepted(value)

    def parse(text: str) -> Accepted[Any] | Unusable:
        try:
            value = text if schema is None else from_json(_unfenced(text))
            canonical_json(value)
        except (ValueError, RecursionError) as error:
            return Unusable(f"not plain JSON: {error}")
        return validate(value)

    return AnswerForm(schema, parse, validate, fits)


def as_recorded(
    found: Accepted[OutputT] | Unusable, problem: str | None, answer: Json
) -> Accepted[OutputT] | Unusable:
    """A check of an answer, as it came out when it was first made: a type's code may be other by now.

    Args:
        found: What the check comes to now.
        problem: What was wrong with the answer then, if anything was.
        answer: The answer as JSON: what the run goes on with if its type took it then and doesn't now.
    """
    if problem is not None:
        return Unusable(problem)
    return cast(Accepted[OutputT], Accepted(answer)) if isinstance(found, Unusable) else found


def answer_json(text: str) -> Json:
    """The JSON of an answer in text; ``None`` of what is no JSON."""
    try:
        return from_json(_unfenced(text))
    except ValueError:
        return None


def describe_errors(error: ValidationError) -> str:
    """A pydantic error as one line: each field and what is wrong with it, never the values."""
    problems = error.errors(include_input=False, include_url=False, include_context=False)
    return "; ".join(f"{'.'.join(str(p) for p in e['loc']) or 'value'}: {e['msg']}" for e in problems[:5])


def _fits(schema: dict[str, Json] | None) -> SchemaCheck:
    return _is_said if schema is None else compile_schema(schema, "the output type")


def _is_said(value: Json) -> str | None:
    return None if isinstance(value, str) and value.strip() else "the answer is a text, and not an empty one"


def _unfenced(text: str) -> str:
    fenced = _FENCED.match(text)
    return fenced["inside"] if fenced else text


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
    except Exception as error:
        # A type's own code may raise anything. What it can't judge it hasn't taken.
        return Unusable(f"its type could not check it: {type(error).__name__}")
    return Accepted(value)


def _checked(adapter: TypeAdapter[Any], value: Json) -> Accepted[Any] | Unusable:
    try:
        # As JSON and not as Python values: a strict type takes a date as text only from JSON.
        text = canonical_json(value).decode()
    except (ValueError, TypeError, RecursionError) as error:
        return Unusable(f"not plain JSON: {error}")
    return _parsed(adapter, text)
