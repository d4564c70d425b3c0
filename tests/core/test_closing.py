from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.core.catalog import check_closed
from agentflow.core.closing import closed, is_closed, mixes_names_with_any
from agentflow.core.defaults import with_defaults, without_defaults
from agentflow.core.schema import compile_schema
from agentflow.errors import ToolDefinitionError
from tests.core.samples import contract_of

A = {"type": "object", "properties": {"a": {}}}
B = {"type": "object", "properties": {"b": {}}}


@pytest.mark.parametrize(
    ("schema", "taken", "refused"),
    [
        (A, {"a": 1}, {"a": 1, "z": 1}),
        ({"properties": {"x": A}}, {"x": {"a": 1}}, {"x": {"a": 1, "z": 1}}),
        ({"properties": {"x": {"items": A}}}, {"x": [{"a": 1}]}, {"x": [{"a": 1}, {"z": 1}]}),
        ({"properties": {"x": {"prefixItems": [A]}}}, {"x": [{"a": 1}]}, {"x": [{"z": 1}]}),
        ({"properties": {"x": {"additionalProperties": A}}}, {"x": {"k": {"a": 1}}}, {"x": {"k": {"z": 1}}}),
        ({"properties": {"x": {"anyOf": [A, B]}}}, {"x": {"b": 1}}, {"x": {"a": 1, "b": 1}}),
        ({"properties": {"x": {"allOf": [A, B]}}}, {"x": {"a": 1, "b": 1}}, {"x": {"a": 1, "z": 1}}),
        ({"properties": {"x": {**A, "allOf": [B]}}}, {"x": {"a": 1, "b": 1}}, {"x": {"a": 1, "z": 1}}),
        ({"properties": {"x": {**A, "anyOf": [B, {}]}}}, {"x": {"a": 1, "b": 1}}, {"x": {"z": 1}}),
        (
            {"properties": {"x": {**A, "if": {"required": ["a"]}, "then": B}}},
            {"x": {"a": 1, "b": 1}},
            {"x": {"a": 1, "z": 1}},
        ),
        (
            {"properties": {"x": {**A, "dependentSchemas": {"a": B}}}},
            {"x": {"a": 1, "b": 1}},
            {"x": {"a": 1, "z": 1}},
        ),
        (
            {"properties": {"x": {"patternProperties": {"^a": {}}}}},
            {"x": {"abc": 1}},
            {"x": {"zbc": 1}},
        ),
        (
            {"properties": {"x": {"$ref": "#/$defs/A"}}, "$defs": {"A": A}},
            {"x": {"a": 1}},
            {"x": {"a": 1, "z": 1}},
        ),
        (
            {
                "properties": {"x": {"$ref": "#/$defs/A"}, "y": {"allOf": [{"$ref": "#/$defs/A"}, B]}},
                "$defs": {"A": A},
            },
            {"x": {"a": 1}, "y": {"a": 1, "b": 1}},
            {"x": {"a": 1, "b": 1}},
        ),
        (
            {
                "properties": {"x": {"$ref": "#/$defs/N"}},
                "$defs": {"N": {"properties": {"next": {"$ref": "#/$defs/N"}}}},
            },
            {"x": {"next": {"next": {}}}},
            {"x": {"next": {"next": {"z": 1}}}},
        ),
    ],
)
def test_a_closed_schema_takes_what_it_names_and_nothing_else(schema: Any, taken: Any, refused: Any) -> None:
    assert not is_closed(schema)
    made = closed(schema)
    assert is_closed(made)
    assert compile_schema(schema, "x")(refused) is None
    assert compile_schema(made, "x")(taken) is None
    assert compile_schema(made, "x")(refused) is not None
    assert closed(made) == made


@pytest.mark.parametrize(
    "part", [{"type": "object"}, {**A, "additionalProperties": True}, {**A, "additionalProperties": {}}, {}]
)
def test_what_is_open_by_its_word_stays_open(part: Any) -> None:
    made = closed({"properties": {"x": part}})
    assert compile_schema(made, "x")({"x": {"anything": 1}}) is None


@pytest.mark.parametrize("word", ["definitions", "$defs"])
def test_a_contract_that_is_open_in_a_definition_is_refused(word: str) -> None:
    schema = {"properties": {"x": {"$ref": f"#/{word}/A"}}, word: {"A": A}, "additionalProperties": False}
    assert not is_closed(schema)
    assert is_closed(closed(schema))


@pytest.mark.parametrize(
    "part", [{"$ref": "#/of-ours/A"}, {"$ref": "#A"}, {"$dynamicRef": "#A"}, {"$ref": "#/$defs/%41"}]
)
def test_a_contract_that_refers_to_where_nothing_is_closed_is_refused(part: Any) -> None:
    schema = {
        "properties": {"x": part},
        "$defs": {"A": {"$anchor": "A", "$dynamicAnchor": "A", **A, "additionalProperties": False}},
        "of-ours": {"A": A},
        "additionalProperties": False,
    }
    assert not is_closed(closed(schema))


@pytest.mark.parametrize("reference", ["Forbidden", "Deep"])
@pytest.mark.parametrize("is_used", [False, True])
def test_what_a_schema_refuses_its_closed_form_refuses(reference: str, is_used: bool) -> None:
    schema = {
        "properties": {
            "x": {"properties": {"a": {}, "b": {}}, "not": {"$ref": f"#/$defs/{reference}"}},
            "y": {
                "properties": {"a": {}, "b": {}},
                "if": {"$ref": f"#/$defs/{reference}"},
                "then": {"required": ["b"]},
            },
            "z": {"$ref": "#/$defs/Forbidden"} if is_used else {},
        },
        "$defs": {
            "Forbidden": {"properties": {"a": {"const": 1}}, "required": ["a"]},
            "Deep": {"allOf": [{"$ref": "#/$defs/Forbidden"}]},
        },
    }
    made = closed(schema)
    check = compile_schema(made, "x")
    assert is_closed(made)
    assert check({"x": {"a": 2, "b": 1}, "y": {"a": 1, "b": 1}, "z": {"a": 1}}) is None
    assert check({"x": {"a": 1, "b": 1}}) is not None
    assert check({"y": {"a": 1}}) is not None
    assert (check({"z": {"a": 1, "b": 1}}) is not None) == is_used


_PLACES: list[Any] = [
    lambda inner: ({"items": inner[0]}, [inner[1]], [inner[2]]),
    lambda inner: ({"properties": {"p": inner[0]}}, {"p": inner[1]}, {"p": inner[2]}),
    lambda inner: ({"additionalProperties": inner[0]}, {"k": inner[1]}, {"k": inner[2]}),
    lambda inner: ({"anyOf": [inner[0], {"type": "null"}]}, inner[1], inner[2]),
    lambda inner: ({"allOf": [inner[0]]}, inner[1], inner[2]),
    lambda inner: ({"oneOf": [{"type": "integer"}, inner[0]]}, inner[1], inner[2]),
]
nested = st.recursive(
    st.just(({"properties": {"a": {}}}, {"a": 1}, {"a": 1, "extra": 1})),
    lambda inner: st.tuples(st.sampled_from(_PLACES), inner).map(lambda pair: pair[0](pair[1])),
    max_leaves=12,
)


@given(nested)
def test_an_extra_key_is_refused_at_any_depth(case: Any) -> None:
    schema, taken, refused = case
    made = compile_schema(closed({"properties": {"x": schema}}), "x")
    assert made({"x": taken}) is None
    assert made({"x": refused}) is not None


def test_a_contract_that_is_open_within_is_refused() -> None:
    schema = {"type": "object", "properties": {"x": A}, "additionalProperties": False}
    with pytest.raises(
        ToolDefinitionError, match=r'there or in an object within.*"additionalProperties": false'
    ):
        check_closed(contract_of("pay", input_schema=schema))


def test_a_union_of_names_and_any_object_is_found_behind_references() -> None:
    schema = {
        "properties": {"x": {"items": {"$ref": "#/$defs/U"}}},
        "$defs": {"A": A, "U": {"oneOf": [{"$ref": "#/$defs/A"}, {"type": "object"}]}},
    }
    assert mixes_names_with_any(schema)
    assert not mixes_names_with_any({"properties": {"x": A, "y": {"type": "object"}}})


DEFAULTS = {
    "properties": {
        "currency": {"default": "USD"},
        "to": {"properties": {"city": {"default": "London"}, "street": {}}},
        "count": {"default": 0},
    }
}


def test_defaults_are_filled_in_where_nothing_was_said() -> None:
    assert with_defaults(DEFAULTS, {"count": 5}) == {"count": 5, "currency": "USD"}


def test_defaults_are_taken_out_at_every_level_and_nothing_like_them() -> None:
    given = {"currency": "USD", "to": {"city": "London", "street": "A"}, "count": False}
    assert without_defaults(DEFAULTS, given) == {"to": {"street": "A"}, "count": False}
