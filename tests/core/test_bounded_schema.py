"""A value is held to a schema in bounded work, and else as Draft 2020-12 says."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from agentflow.contracts.wire import Json
from agentflow.core import bounded_schema
from agentflow.core.bounded_schema import MAX_STEPS, BoundedValidator, begin
from agentflow.core.schema import compile_schema
from agentflow.errors import ConfigurationError


def nested(levels: int) -> Json:
    value: Json = {"kind": 3}
    for _ in range(levels):
        value = {"child": value, "kind": 3}
    return value


def boxed(value: Json) -> Json:
    for _ in range(90):
        value = [value]
    return value


def tree(*kinds: int) -> dict[str, Json]:
    """A schema whose alternatives refer to themselves."""
    node: list[Json] = [
        {"properties": {"child": {"$ref": "#/$defs/node"}, "kind": {"const": kind}}, "required": ["kind"]}
        for kind in kinds
    ]
    return {"$ref": "#/$defs/node", "$defs": {"node": {"anyOf": node}}}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (tree(1, 2), nested(60)),
        (tree(1, 3), nested(60)),
        ({"items": {"oneOf": [{"const": f"x{one}"} for one in range(300)]}}, ["x299"] * 3_000),
        ({"pattern": "[ab]{0,3000}c"}, "a" * 50_000),
        ({"pattern": r"(\w{0,100}\s?){30}z"}, "x1y" * 10_000),
        ({"patternProperties": {"[ab]{0,3000}c": {}}}, {"a" * 50_000: 1}),
        ({"uniqueItems": True, "items": {"$ref": "#"}}, boxed(list(range(50_000)))),
        ({"items": {"const": {"of": list(range(9_000))}}}, [{"of": list(range(9_000))}] * 100),
        ({"items": {"properties": {f"f{one}": {} for one in range(2_000)}}}, [{}] * 3_000),
    ],
)
def test_what_takes_too_much_work_is_refused_with_the_limit(schema: dict[str, Json], value: Json) -> None:
    problem = compile_schema(schema, "x")(value)
    assert problem is not None
    assert f"more than {MAX_STEPS:,} steps" in problem


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"uniqueItems": True}, [{"number": one} for one in range(20_000)]),
        ({"pattern": "^(a+)+$"}, "a" * 100_000),
        ({"pattern": "^.{0,4000}$"}, "a" * 4_000),
        ({"pattern": r"^\p{L}+$"}, "é" * 4_000),
        ({"patternProperties": {"^(a+)+$": {}}, "additionalProperties": False}, {"a" * 10_000: 1}),
        ({"items": {"properties": {f"f{one}": {"type": "integer"} for one in range(10)}}},
         [{f"f{one}": one for one in range(10)} for _ in range(3_000)]),
    ],
)  # fmt: skip
def test_what_is_large_and_simple_is_checked(schema: dict[str, Json], value: Json) -> None:
    assert compile_schema(schema, "x")(value) is None


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"pattern": "^(?=a)"}}},
        {"patternProperties": {r"(a)\1": {}}},
        {"items": [{"anyOf": [{"pattern": "("}]}]},
        {"$defs": {"a": {"pattern": "a++"}}},
        {"pattern": "(" * 2_000 + "a" + ")" * 2_000},
    ],
)
def test_a_pattern_that_can_not_be_tested_is_refused_wherever_it_stands(schema: dict[str, Json]) -> None:
    with pytest.raises(ConfigurationError, match="is not a valid JSON Schema"):
        compile_schema(schema, "x")


@pytest.mark.parametrize(
    "schema",
    [
        {"const": {"pattern": "(?=a)"}},
        {"default": {"pattern": "(?=a)"}, "examples": [{"pattern": "(?=a)"}]},
        {"properties": {"pattern": {"type": "string"}}},
    ],
)
def test_what_only_looks_like_a_pattern_is_none(schema: dict[str, Json]) -> None:
    assert compile_schema(schema, "x")({"pattern": "(?=a)"}) is None


def test_what_would_be_matched_in_pythons_engine_elsewhere_is_refused() -> None:
    schema: dict[str, Json] = {"patternProperties": {"^x-": {}}, "allOf": [{"unevaluatedProperties": False}]}
    with pytest.raises(ConfigurationError, match="say additionalProperties"):
        compile_schema(schema, "x")


def test_one_check_does_not_count_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_schema, "MAX_STEPS", 1_000)
    check = compile_schema({"items": {"type": "integer"}}, "x")
    for _ in range(20):
        assert check(list(range(100))) is None
    assert check(list(range(1_000))) is not None


names = st.sampled_from(["a", "b", "x-a", "x-b"])
values: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([0, 1, 1.0, 1.5, True, False, None, "", "a", "1", "x-a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
schemas: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from(
        [True, False, {"type": "integer"}, {"type": "string"}, {"const": 1}, {"uniqueItems": True}, {"pattern": "^x"}]
    ),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(names, inner, max_size=2),
            "patternProperties": st.dictionaries(st.sampled_from(["^x-", "a$"]), inner, max_size=2),
            "additionalProperties": inner,
            "items": inner,
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "not": inner,
            "uniqueItems": st.booleans(),
        },
    ),
    max_leaves=5,
)  # fmt: skip


@given(schemas, values)
def test_bounded_work_comes_to_the_same(schema: Any, value: Any) -> None:
    begin()
    assert BoundedValidator(schema).is_valid(value) == Draft202012Validator(schema).is_valid(value)


def test_a_long_enum_takes_no_more_for_each_value_than_a_short_one() -> None:
    words, objects = [f"x{one}" for one in range(3_000)], [{"of": one} for one in range(3_000)]
    assert compile_schema({"items": {"enum": words}}, "x")([words[-1]] * 3_000) is None
    assert compile_schema({"items": {"enum": objects}}, "x")([objects[-1]] * 3_000) is None
    assert "is not one of" in (compile_schema({"enum": objects}, "x")({"of": 3_000}) or "")


ODD: list[Json] = [
    0,
    1,
    1.0,
    -0.0,
    True,
    False,
    None,
    "1",
    "",
    [1],
    [1.0],
    [True],
    {"a": 1},
    {"a": True},
    [],
    {},
]


@given(
    st.sampled_from(ODD) | st.recursive(st.sampled_from(ODD), lambda one: st.lists(one, max_size=3)),
    st.data(),
)
def test_what_is_equal_to_a_literal_is_what_json_schema_says(literal: Json, data: st.DataObject) -> None:
    value = data.draw(st.sampled_from([*ODD, literal, [literal], {"a": literal}]))
    for schema in ({"const": literal}, {"enum": [literal, "another"]}):
        is_valid = Draft202012Validator(schema).is_valid(value)
        assert (compile_schema(schema, "x")(value) is None) == is_valid
