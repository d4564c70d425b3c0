from typing import Any

from hypothesis import given

from agentflow.core.policy import PastCall
from agentflow.core.provenance import sources
from tests.core.strategies import json_objects, json_values

TASK = {"text": 'Refund "ORD-7" to ada@example.com please'}
ORDER = PastCall("c1", "order", {}, {"paid_usd": "19.90", "card": "visa"})
MAIL = PastCall("c2", "mail", {}, {"card": "visa", "from": "eve@example.com"})


def source(value: Any) -> str:
    return sources({"value": value}, TASK, [ORDER, MAIL])["value"]


def test_a_value_of_the_task_is_from_the_task() -> None:
    assert source("ada@example.com") == "task"


def test_a_value_of_an_output_is_from_the_first_tool_that_said_it() -> None:
    assert source("eve@example.com") == "tool:mail"
    assert source("visa") == "tool:order"


def test_the_task_comes_before_the_tools() -> None:
    said_again = PastCall("c3", "echo", {}, "ada@example.com")
    assert sources({"to": "ada@example.com"}, TASK, [said_again]) == {"to": "task"}


def test_a_value_that_was_seen_nowhere_is_the_models() -> None:
    assert source("mallory@example.com") == "model"
    assert source("") == "model"


def test_quotes_in_a_value_are_no_hindrance() -> None:
    assert source('"ORD-7"') == "task"


def test_numbers_and_objects_are_found_by_their_text() -> None:
    past = [PastCall("c1", "order", {}, {"lines": [{"n": 12}], "total": 345.5})]
    found = sources({"total": 345.5, "line": {"n": 12}, "other": 9}, None, past)
    assert found == {"total": "tool:order", "line": "tool:order", "other": "model"}


@given(json_objects, json_values, json_values)
def test_every_argument_has_one_source(arguments: dict[str, Any], task: Any, output: Any) -> None:
    found = sources(arguments, task, [PastCall("c1", "tool", {}, output)])
    assert found.keys() == arguments.keys()
    assert set(found.values()) <= {"task", "tool:tool", "model"}
