import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field

from agentflow.core.grammar import clipped, embedded, for_grammar, signature


class Line(BaseModel):
    sku: str = Field(pattern=r"^[A-Z]{3}-\d+$", max_length=40, description="the article's number")
    cents: int = Field(ge=0, multiple_of=5)


class Order(BaseModel):
    id: str = Field(min_length=1, max_length=5000)
    lines: list[Line]
    note: str | None = None
    replaces: "Order | None" = None


class TestForGrammar:
    @pytest.mark.parametrize(
        "schema",
        [
            {"type": "string", "format": "email"},
            {"type": "integer", "multipleOf": 5},
            {"type": "array", "uniqueItems": True},
            {"not": {"type": "string"}},
            {"type": "string", "maxLength": 401},
            {"type": "array", "minItems": 51},
            {"type": "integer", "maximum": 2**63},
            {"type": "number", "minimum": 0.5},
            {"type": "array", "items": True},
        ],
    )
    def test_what_a_grammar_cannot_hold_is_dropped(self, schema):
        assert for_grammar(schema) in ({"type": schema.get("type")}, {})

    @pytest.mark.parametrize(
        "schema",
        [
            {"type": "string", "maxLength": 400},
            {"type": ["string", "null"]},
            {"type": "integer", "minimum": -5, "maximum": 5},
            {"enum": ["a", "b"]},
            {"const": {"format": "kept, since it is data"}},
            {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 50},
        ],
    )
    def test_what_a_grammar_can_hold_is_kept(self, schema):
        assert for_grammar(schema) == schema

    @pytest.mark.parametrize("pattern", [r"^[A-Z]-[0-9]{4}$", r"^(a|b)$", r"^a\.b$", r"^[^@ ]+@[a-z.]+$"])
    def test_a_plain_pattern_is_kept(self, pattern):
        assert for_grammar({"type": "string", "pattern": pattern})["pattern"] == pattern

    @pytest.mark.parametrize("pattern", ["abc", "^abc", r"^\d+$", r"^a(?=b)$", "^é+$", r"^\p{L}$", r"^a\$"])
    def test_any_other_pattern_is_dropped(self, pattern):
        assert for_grammar({"type": "string", "pattern": pattern}) == {"type": "string"}

    def test_objects_are_closed(self):
        schema = {"type": "object", "properties": {"a": {"type": "object", "properties": {"b": {}}}}}
        closed = for_grammar(schema)
        assert closed["additionalProperties"] is False
        assert closed["properties"]["a"]["additionalProperties"] is False

    def test_a_property_named_like_a_keyword_is_a_property(self):
        schema = {"type": "object", "properties": {"format": {"type": "string", "format": "email"}}}
        assert for_grammar(schema)["properties"] == {"format": {"type": "string"}}

    def test_boolean_schemas_become_anything(self):
        assert for_grammar({"properties": {"a": True}})["properties"] == {"a": {}}

    def test_a_value_that_fits_the_whole_schema_fits_the_grammar(self):
        order = {"id": "x" * 1000, "lines": [{"sku": "ABC-1", "cents": 5}], "note": None, "replaces": None}
        whole = Order.model_json_schema()
        assert Draft202012Validator(whole).is_valid(order)
        assert Draft202012Validator(for_grammar(whole)).is_valid(order)


class TestEmbedding:
    def test_a_schema_without_references_stays_in_place(self):
        definitions: dict[str, Any] = {}
        assert embedded({"type": "string"}, "a", definitions) == {"type": "string"}
        assert definitions == {}

    @given(st.sampled_from(["a", "get_order"]))
    def test_moved_references_resolve(self, name):
        definitions: dict[str, Any] = {}
        place = embedded(Order.model_json_schema(), name, definitions)
        whole = Draft202012Validator({"properties": {"x": place}, "$defs": definitions})
        order = {"id": "1", "lines": [{"sku": "ABC-1", "cents": 5}]}
        assert whole.is_valid({"x": order | {"replaces": order}})
        assert not whole.is_valid({"x": order | {"replaces": {"id": "1"}}})

    def test_data_that_looks_like_a_reference_is_left_alone(self):
        definitions: dict[str, Any] = {}
        embedded({"$ref": "#/$defs/A", "default": {"$ref": "#/x"}, "$defs": {"A": {}}}, "a", definitions)
        assert definitions["a"]["default"] == {"$ref": "#/x"}
        assert definitions["a"]["$ref"] == "#/$defs/a/$defs/A"


class TestSignature:
    def test_it_reads_like_code(self):
        assert signature(Line.model_json_schema()) == "{sku: string (the article's number), cents: integer}"

    def test_optional_fields_and_choices_are_marked(self):
        schema = {"type": "object", "properties": {"reason": {"enum": ["late", "lost"]}}}
        assert signature(schema) == '{reason?: "late" | "lost"}'

    def test_references_are_followed(self):
        assert "lines: [{sku: string" in signature(Order.model_json_schema())

    def test_a_recursive_schema_has_an_end(self):
        assert len(signature(Order.model_json_schema())) <= 800

    def test_a_dangling_reference_is_anything(self):
        assert signature({"$ref": "#/$defs/Missing"}) == "any"


@given(st.text(), st.integers(min_value=1, max_value=50))
def test_a_clipped_text_is_one_short_line(text, limit):
    line = clipped(text, limit)
    assert len(line) <= limit
    assert json.dumps(line).find("\\n") < 0
