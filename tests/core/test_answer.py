import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from agentflow.core.answer import Accepted, AnswerForm, Unusable, answer_form
from agentflow.errors import WorkflowDefinitionError
from tests.core.strategies import any_text, json_values, odd_values


class Triage(BaseModel):
    team: Literal["billing", "shipping"]
    score: float = 0.5
    due: date | None = None


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    due: date
    tags: tuple[str, ...]


@dataclass
class Point:
    x: int


FORMS: list[AnswerForm[Any]] = [
    answer_form(kind) for kind in (str, int, float, bool, list[int], dict[str, Any], Decimal, Triage, Point)
]
forms = st.sampled_from(FORMS)


def problem(result: Accepted[Any] | Unusable) -> str:
    assert isinstance(result, Unusable)
    return result.problem


def test_free_text_is_taken_as_it_is() -> None:
    form = answer_form(str)
    assert form.schema is None
    assert form.parse(' {"not": "parsed"} ') == Accepted(' {"not": "parsed"} ')


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_text_is_no_answer(text: str) -> None:
    assert problem(answer_form(str).parse(text)) == "the answer is empty"


def test_json_that_fits_the_type_is_the_answer() -> None:
    parsed = answer_form(Triage).parse('{"team": "billing", "due": "2026-11-22"}')
    assert parsed == Accepted(Triage(team="billing", due=date(2026, 11, 22)))


def test_the_form_has_the_types_schema() -> None:
    assert answer_form(Triage).schema == Triage.model_json_schema()


@pytest.mark.parametrize(
    "text", ["```json\n{}\n```", "```\n{}\n```", "\n ```json\n{\n}\n``` \n"], ids=["json", "bare", "spaces"]
)
def test_a_whole_answer_in_a_code_fence_is_the_answer(text: str) -> None:
    assert answer_form(dict[str, Any]).parse(text) == Accepted({})


@pytest.mark.parametrize(
    "text", ["Sure! {}", "{} Done.", "Here:\n```json\n{}\n```", "```json\n{}\n```\nDone."]
)
def test_json_among_other_words_is_not_the_answer(text: str) -> None:
    assert isinstance(answer_form(dict[str, Any]).parse(text), Unusable)


def test_the_problem_names_the_field_and_not_its_value() -> None:
    said = problem(answer_form(Triage).parse('{"team": "billing", "due": "my secret day"}'))
    assert said.startswith("due: ")
    assert "secret" not in said


def test_at_most_five_problems_are_told() -> None:
    said = problem(answer_form(list[int]).parse('["a","b","c","d","e","f","g"]'))
    assert said.count(";") == 4


@given(forms, any_text | st.text('{}[]",:`\\0123456789eE.-naNIfity \n'))
def test_whatever_a_model_says_is_an_answer_or_a_problem(form: AnswerForm[Any], text: str) -> None:
    result = form.parse(text)
    assert isinstance(result, Accepted) or result.problem


@given(forms, odd_values)
def test_whatever_a_person_supplies_is_an_answer_or_a_problem(form: AnswerForm[Any], value: Any) -> None:
    result = form.validate(value)
    assert isinstance(result, Accepted) or result.problem


NOT_JSON = ["NaN", "Infinity", "-Infinity", "1e400", '"NaN"']


@pytest.mark.parametrize("text", NOT_JSON)
def test_a_number_that_json_does_not_have_is_no_answer(text: str) -> None:
    # A limit such as ``score > 0.9`` lets NaN through: every comparison with it is false.
    assert isinstance(answer_form(float).parse(text), Unusable)
    assert isinstance(answer_form(Triage).parse(f'{{"team": "billing", "score": {text}}}'), Unusable)
    assert isinstance(answer_form(dict[str, list[float]]).parse(f'{{"deep": [{text}]}}'), Unusable)


@pytest.mark.parametrize("text", NOT_JSON[:-1])
def test_nor_is_it_where_any_json_will_do(text: str) -> None:
    assert isinstance(answer_form(dict[str, Any]).parse(f'{{"deep": [{text}]}}'), Unusable)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_nor_may_a_person_supply_it(value: float) -> None:
    assert isinstance(answer_form(float).validate(value), Unusable)
    assert isinstance(answer_form(dict[str, Any]).validate({"deep": [value]}), Unusable)


def test_a_persons_answer_is_json_also_for_a_strict_type() -> None:
    form = answer_form(Strict)
    expected = Accepted(Strict(due=date(2026, 11, 22), tags=("a",)))
    assert form.parse('{"due": "2026-11-22", "tags": ["a"]}') == expected
    assert form.validate({"due": "2026-11-22", "tags": ["a"]}) == expected


@given(json_values)
def test_json_comes_through_as_it_is(value: Any) -> None:
    assert answer_form(dict[str, Any]).validate({"v": value}) == Accepted({"v": value})


class NoSchema:
    pass


@pytest.mark.parametrize("kind", [NoSchema, Callable[[], int]])
def test_a_type_without_a_json_schema_is_refused_at_definition(kind: Any) -> None:
    with pytest.raises(WorkflowDefinitionError, match="no JSON Schema"):
        answer_form(kind)
