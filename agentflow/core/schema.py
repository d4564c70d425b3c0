"""Checks of JSON values against JSON Schema, Draft 2020-12."""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any, Protocol

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import SchemaError, ValidationError
from referencing import Registry

from agentflow.contracts.wire import Json, canonical_json
from agentflow.core.bounded_schema import BoundedValidator, TooMuchWorkError, begin, problem_of
from agentflow.core.tags import TagFinder
from agentflow.errors import ConfigurationError

MAX_PROBLEMS = 5
"""A model that broke a contract in many places is told of the first few: more only costs tokens."""


class SchemaCheck(Protocol):
    """A compiled schema. Compile once: a check costs 0.2 ms, a compilation far more."""

    def __call__(self, value: Json) -> str | None:
        """What is wrong with the value, or ``None``. What can't be checked is wrong."""
        ...


def compile_schema(schema: Mapping[str, Json], what: str) -> SchemaCheck:
    """Compile a schema into a check, whose work is bounded whatever it is asked of.

    Args:
        schema: JSON Schema, Draft 2020-12. References may point only into the schema itself.
        what: Named in errors.

    Raises:
        ConfigurationError: it isn't a valid schema, or has a pattern that can't be tested in linear time.
    """
    try:
        text = canonical_json(dict(schema)).decode()
        return _compiled(text)
    except SchemaError as error:
        raise ConfigurationError(f"{what} is not a valid JSON Schema: {error.message}") from error
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"{what} is not a valid JSON Schema: {error}") from error


@lru_cache(maxsize=1_024)
def _compiled(schema: str) -> SchemaCheck:
    """The check of a schema, given as JSON.

    The sandbox makes an agent's class anew for each run, with the same schemas: to compile them each time
    would take a tenth of a worker's time.
    """
    parsed: dict[str, Json] = json.loads(schema)
    # Without formats: of "regex" Python's engine would judge, which knows other patterns than ours, and whose
    # reader has no bound.
    Draft202012Validator.check_schema(parsed, format_checker=FormatChecker(()))
    if problem := problem_of(parsed):
        raise ValueError(problem)
    # Without a registry of our own, jsonschema would fetch what a reference names, files included.
    nothing_else: Registry[Any] = Registry()
    validator: Any = BoundedValidator(parsed, registry=nothing_else)
    sentence = _sentence_without_values if TagFinder(parsed).has_tags else _sentence

    def check(value: Json) -> str | None:
        begin()
        try:
            found: Iterator[ValidationError] = validator.iter_errors(value)
            errors = list(islice(found, MAX_PROBLEMS))
        except TooMuchWorkError as error:
            return f"value: can't be checked, {error}: make it shorter, or less nested"
        except Exception as error:
            # NaN where a multiple is asked for, a number or a depth beyond Python's, a dangling reference.
            return f"value: can't be checked ({type(error).__name__})"
        return "; ".join(sentence(error) for error in errors) or None

    return check


def _sentence_without_values(error: ValidationError) -> str:
    """For schemas that mark values as personal: a message goes where they must not."""
    return f"{_place(error)}: breaks {error.validator} {str(error.validator_value)[:300]}"


def _sentence(error: ValidationError) -> str:
    # A message quotes the value, which may be long or hostile: keep it short.
    return f"{_place(error)}: {error.message[:300]}"


def _place(error: ValidationError) -> str:
    return "/".join(str(part) for part in error.absolute_path) or "value"
