"""A call's arguments get to their places in a request, and to no others."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.contracts.sources import OpenApiSource, RequestArgument
from agentflow.contracts.wire import Sha256
from agentflow.core.openapi_request import build_request
from agentflow.errors import ToolError

KEY = "k" * 64


def source(*arguments: RequestArgument, path: str = "/orders", **rest: Any) -> OpenApiSource:
    return OpenApiSource(
        server="Orders", method="POST", path=path, arguments=arguments, digest=Sha256("0" * 64), **rest
    )


def argument(name: str = "v", place: Any = "query", **rest: Any) -> RequestArgument:
    return RequestArgument(argument=name, name=name, place=place, **rest)


@pytest.mark.parametrize(
    ("how", "value", "query"),
    [
        ({}, "a b&c", [("v", "a b&c")]),
        ({}, True, [("v", "true")]),
        ({}, 7, [("v", "7")]),
        ({}, None, []),
        ({}, ["a", "b"], [("v", "a"), ("v", "b")]),
        ({"explode": False}, ["a", "b"], [("v", "a,b")]),
        ({"style": "spaceDelimited", "explode": False}, ["a", "b"], [("v", "a b")]),
        ({"style": "pipeDelimited", "explode": False}, ["a", "b"], [("v", "a|b")]),
        ({"style": "deepObject"}, {"a": 1, "b": None}, [("v[a]", "1")]),
        ({}, {"a": 1, "b": "x"}, [("a", "1"), ("b", "x")]),
        ({"explode": False}, {"a": 1}, [("v", "a,1")]),
        ({"style": "json"}, {"a": [1]}, [("v", '{"a": [1]}')]),
    ],
)
def test_a_query_parameter_is_written_in_its_style(how: dict[str, Any], value: Any, query: list[Any]) -> None:
    assert build_request(source(argument(**how)), {"v": value}, KEY).query == query


def test_an_argument_that_is_left_out_is_not_sent() -> None:
    request = build_request(source(argument(), argument("w", "header")), {}, KEY)
    assert (request.query, request.headers, request.body) == ([], {}, None)


@given(st.text(min_size=1))
def test_whatever_a_path_argument_is_it_stays_one_segment_of_the_path(value: str) -> None:
    one = source(argument("id", "path", style="simple"), path="/orders/{id}/refunds")
    try:
        path = build_request(one, {"id": value}, KEY).path
    except (ToolError, UnicodeEncodeError):
        return
    start, name, segment, end = (
        path.split("/")[0:1] + path.split("/")[1:2] + path.split("/")[2:3] + path.split("/")[3:]
    )
    assert (start, name, end) == ("", "orders", "refunds")
    assert segment not in ("", ".", "..")
    assert not set(segment) & set("?#/\\ ")


@pytest.mark.parametrize("value", ["", ".", "..", " .. "])
def test_a_path_argument_that_would_lead_elsewhere_is_refused(value: str) -> None:
    with pytest.raises(ToolError, match="can't be part of a path"):
        build_request(source(argument("id", "path"), path="/orders/{id}"), {"id": value}, KEY)


def test_a_value_with_braces_does_not_become_another_parameters_place() -> None:
    one = source(argument("a", "path"), argument("b", "path"), path="/{a}/{b}")
    assert build_request(one, {"a": "{b}", "b": "x"}, KEY).path == "/%7Bb%7D/x"


@pytest.mark.parametrize("value", ["a\r\nX-Admin: 1", "ä", "a\x00"])
def test_a_header_takes_one_line_of_ascii(value: str) -> None:
    with pytest.raises(ToolError, match="one line of ASCII"):
        build_request(source(argument("h", "header", style="simple")), {"h": value}, KEY)


def test_a_cookie_can_not_end_early() -> None:
    assert build_request(source(argument("c", "cookie")), {"c": "a; admin=1"}, KEY).cookies == {
        "c": "a%3B%20admin%3D1"
    }


def test_body_arguments_are_one_json_object() -> None:
    one = source(argument("a", "body"), argument("b", "body"), media_type="application/json")
    request = build_request(one, {"a": "ü", "b": [1]}, KEY)
    assert request.body == '{"a": "ü", "b": [1]}'.encode()
    assert request.headers == {"Content-Type": "application/json"}


def test_a_whole_body_is_sent_as_it_is() -> None:
    one = source(argument("body", "whole_body"), media_type="application/merge-patch+json")
    assert build_request(one, {"body": None}, KEY).body == b"null"
    assert build_request(one, {}, KEY).body is None


def test_a_form_has_objects_and_lists_in_brackets() -> None:
    one = source(argument("a", "body"), media_type="application/x-www-form-urlencoded")
    request = build_request(one, {"a": {"b": [1, {"c": "d e"}], "n": None}}, KEY)
    assert request.body == b"a%5Bb%5D%5B0%5D=1&a%5Bb%5D%5B1%5D%5Bc%5D=d+e"


def test_the_idempotency_key_is_sent_where_it_is_taken() -> None:
    assert build_request(source(key_header="Idempotency-Key"), {}, KEY).headers == {"Idempotency-Key": KEY}
