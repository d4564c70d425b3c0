from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.core.evidence import cite
from agentflow.core.provenance import PastCall
from tests.core.strategies import json_values

# The document and the pointers of RFC 6901, section 5.
RFC_DOCUMENT = {
    "foo": ["bar", "baz"],
    "": 0,
    "a/b": 1,
    "c%d": 2,
    "e^f": 3,
    "g|h": 4,
    "i\\j": 5,
    'k"l': 6,
    " ": 7,
    "m~n": 8,
}
RFC_EXAMPLES = [
    ("", RFC_DOCUMENT),
    ("/foo", ["bar", "baz"]),
    ("/foo/0", "bar"),
    ("/", 0),
    ("/a~1b", 1),
    ("/c%d", 2),
    ("/e^f", 3),
    ("/g|h", 4),
    ("/i\\j", 5),
    ('/k"l', 6),
    ("/ ", 7),
    ("/m~0n", 8),
]
PAST = [PastCall("call_1", "lookup", {}, RFC_DOCUMENT)]


@pytest.mark.parametrize(("pointer", "value"), RFC_EXAMPLES)
def test_the_examples_of_rfc_6901_are_found(pointer: str, value: Any) -> None:
    found = cite(PAST, "call_1", pointer)
    assert found is not None
    assert (found.tool, found.tool_call_id, found.pointer, found.value) == (
        "lookup",
        "call_1",
        pointer,
        value,
    )


def test_an_escaped_tilde_is_not_unescaped_twice() -> None:
    found = cite([PastCall("call_1", "lookup", {}, {"~1": "right", "/": "wrong"})], "call_1", "/~01")
    assert found is not None
    assert found.value == "right"


@pytest.mark.parametrize(
    "pointer",
    [
        "foo",
        "#/foo",
        "/missing",
        "/foo/2",
        "/foo/-1",
        "/foo/-",
        "/foo/01",
        "/foo/+1",
        "/foo/1e0",
        "/foo/ 1",
        "/foo/\u0661",
        "/foo/" + "9" * 5000,
        "/foo/0/0",
        "//x",
    ],
)
def test_a_pointer_to_nothing_finds_nothing(pointer: str) -> None:
    assert cite(PAST, "call_1", pointer) is None


@pytest.mark.parametrize("pointer", ["/~", "/~2", "/a~"])
def test_an_escape_that_the_rfc_does_not_know_finds_nothing(pointer: str) -> None:
    output = {"~": 1, "~2": 2, "a~": 3}
    assert cite([PastCall("call_1", "lookup", {}, output)], "call_1", pointer) is None


def test_an_unknown_call_finds_nothing() -> None:
    assert cite(PAST, "call_2", "") is None


def test_of_two_calls_with_one_id_the_later_counts() -> None:
    past = [*PAST, PastCall("call_1", "again", {}, 5)]
    found = cite(past, "call_1", "")
    assert found is not None
    assert (found.tool, found.value) == ("again", 5)


def places(value: Any, pointer: str = "") -> list[tuple[str, Any]]:
    inside: list[tuple[str, Any]] = [(pointer, value)]
    if isinstance(value, dict):
        for key, part in value.items():
            inside += places(part, f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}")
    if isinstance(value, list):
        for index, part in enumerate(value):
            inside += places(part, f"{pointer}/{index}")
    return inside


@given(json_values)
def test_every_place_of_an_output_can_be_cited(output: Any) -> None:
    past = [PastCall("call_1", "lookup", {}, output)]
    for pointer, value in places(output):
        found = cite(past, "call_1", pointer)
        assert found is not None
        assert found.value == value


@given(json_values, st.text("/~01279-a"))
def test_citing_never_raises(output: Any, pointer: str) -> None:
    found = cite([PastCall("call_1", "lookup", {}, output)], "call_1", pointer)
    assert found is None or found.pointer == pointer
