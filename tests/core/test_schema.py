from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from agentflow.core.schema import MAX_PROBLEMS, compile_schema
from agentflow.errors import ConfigurationError
from tests.core.samples import nested
from tests.core.strategies import odd_values

ORDER = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "items": {"type": "array", "items": {"type": "integer"}}},
    "required": ["id"],
    "additionalProperties": False,
}


def test_a_value_that_fits_has_no_problem() -> None:
    assert compile_schema(ORDER, "order")({"id": "ORD-7", "items": [1, 2]}) is None


def test_a_problem_names_its_place() -> None:
    said = compile_schema(ORDER, "order")({"id": "ORD-7", "items": [1, "two"]})
    assert said is not None
    assert said.startswith("items/1: ")


def test_a_hostile_value_is_not_quoted_at_length() -> None:
    said = compile_schema({"type": "integer"}, "number")("x" * 100_000)
    assert said is not None
    assert len(said) < 400


def test_only_the_first_problems_are_told() -> None:
    said = compile_schema({"items": {"type": "integer"}}, "numbers")(["x"] * 50)
    assert said is not None
    assert said.count("; ") == MAX_PROBLEMS - 1


def test_an_invalid_schema_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="input schema of tool pay is not a valid JSON Schema"):
        compile_schema({"type": "strnig"}, "input schema of tool pay")


def test_references_into_the_schema_itself_are_followed() -> None:
    check = compile_schema({"$ref": "#/$defs/n", "$defs": {"n": {"type": "integer"}}}, "n")
    assert check(5) is None
    assert check("five") is not None


def test_a_reference_out_of_the_schema_is_never_fetched(tmp_path: Path) -> None:
    elsewhere = tmp_path / "integer.json"
    elsewhere.write_text('{"type": "integer"}')
    assert compile_schema({"$ref": elsewhere.as_uri()}, "broken")(5) is not None


@pytest.mark.parametrize("reference", ["http://127.0.0.1:9/schema", "#/$defs/missing"])
def test_nothing_fits_a_reference_to_nowhere(reference: str) -> None:
    said = compile_schema({"$ref": reference}, "broken")(5)
    assert said is not None
    assert "can't be checked" in said


CHECKS = [
    compile_schema(schema, "any")
    for schema in (
        ORDER,
        {"multipleOf": 0.01},
        {"uniqueItems": True},
        {"enum": [1, "a", None]},
        {"pattern": "^a+$", "maxLength": 5},
        {"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}},
    )
]


@given(odd_values)
def test_a_check_answers_for_every_value(value: Any) -> None:
    for check in CHECKS:
        said = check(value)
        assert said is None or said


@pytest.mark.parametrize(
    "value", [float("nan"), 10**400, 10**5000, nested(5_000)], ids=["nan", "large", "huge", "deep"]
)
def test_a_value_that_can_not_be_checked_does_not_fit(value: Any) -> None:
    said = [check(value) for check in (CHECKS[1], CHECKS[5])]
    assert any(problem is not None for problem in said)
