"""What a schema marks is found in values of it, wherever in the schema the mark is."""

from typing import Annotated, Any

import pytest
from pydantic import BaseModel, TypeAdapter
from typing_extensions import TypedDict

from agentflow.contracts.tags import TAG, Personal, Secret
from agentflow.core.tags import TagFinder, without_tags

Email = Annotated[str, Personal("email")]


class Customer(BaseModel):
    email: Email
    age: Annotated[int, Personal("age")] = 0
    city: str = "Ghent"


class Tree(BaseModel):
    owner: Email
    below: "list[Tree]" = []


class Row(TypedDict):
    email: Email
    note: str


CASES: dict[str, tuple[Any, Any, dict[Any, str]]] = {
    "a field": (Customer, {"email": "a@b.c", "age": 4, "city": "x"}, {"a@b.c": "email", 4: "age"}),
    "in a list": (list[Customer], [{"email": "a@b.c"}, {"email": "d@e.f"}], {"a@b.c": "email", "d@e.f": "email"}),
    "in a mapping": (dict[str, Customer], {"k": {"email": "a@b.c"}}, {"a@b.c": "email"}),
    "in a tuple": (tuple[int, Email], [3, "a@b.c"], {"a@b.c": "email"}),
    "of a typed dictionary": (Row, {"email": "a@b.c", "note": "n"}, {"a@b.c": "email"}),
    "optional": (Email | None, "a@b.c", {"a@b.c": "email"}),
    "one of several": (Customer | Row | int, {"email": "a@b.c", "note": "n"}, {"a@b.c": "email"}),
    "a whole object": (Annotated[Customer, Personal("customer")], {"email": "a@b.c", "city": "x"}, {"a@b.c": "customer", "x": "customer"}),
    "keys of a marked object": (Annotated[dict[str, int], Personal("people")], {"Ann Lee": 3}, {"Ann Lee": "people", 3: "people"}),
    "keys that are marked": (dict[Email, int], {"a@b.c": 3}, {"a@b.c": "email"}),
    "keys below": (Annotated[dict[str, dict[str, str]], Personal("x")], {"one": {"two": "three"}}, {"one": "x", "two": "x", "three": "x"}),
    "recursive": (Tree, {"owner": "a@b.c", "below": [{"owner": "d@e.f"}]}, {"a@b.c": "email", "d@e.f": "email"}),
    "secret": (Annotated[str, Secret()], "hunter2", {"hunter2": "secret"}),
    "nothing": (dict[str, Any], {"email": "a@b.c"}, {}),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "value", "found"), CASES.values(), ids=CASES)
def test_marked_values_are_found(kind: Any, value: Any, found: dict[Any, str]) -> None:
    finder = TagFinder(TypeAdapter(kind).json_schema())
    assert {tagged.value: tagged.kind for tagged in finder.find(value)} == found
    assert finder.has_tags == bool(found)


def test_a_masked_value_has_its_kind_in_place_of_what_is_marked_however_short() -> None:
    finder = TagFinder(TypeAdapter(list[Customer]).json_schema())
    masked = finder.masked([{"email": "a", "age": 4, "city": "x"}])
    assert masked == [{"email": "[email]", "age": "[age]", "city": "x"}]


def test_a_masked_key_has_its_kind_in_its_place_and_no_value_gets_lost() -> None:
    finder = TagFinder(TypeAdapter(dict[Email, Customer]).json_schema())
    masked = finder.masked({"a@b.c": {"email": "a", "city": "x"}, "d@e.f": {"email": "d", "city": "y"}})
    assert masked == {
        "[email]": {"email": "[email]", "city": "x"},
        "[email]'": {"email": "[email]", "city": "y"},
    }


def test_what_has_more_schemas_than_are_looked_at_is_marked() -> None:
    schema = {
        "anyOf": [{"type": "integer"}] * 50 + [{"title": str(one)} for one in range(200)] + [{TAG: "x"}]
    }
    assert [tagged.value for tagged in TagFinder(schema).find({"a": "b"})] == ["a", "b"]


def test_a_value_that_does_not_fit_its_schema_is_looked_through_all_the_same() -> None:
    finder = TagFinder(TypeAdapter(Customer).json_schema())
    assert [tagged.value for tagged in finder.find({"email": ["a@b.c", {"x": "d@e.f"}]})] == [
        "a@b.c",
        "x",
        "d@e.f",
    ]
    assert list(finder.find("text")) == []


def test_a_reference_that_leads_nowhere_or_in_circles_ends() -> None:
    for reference in ("#/$defs/gone", "#/$defs/self", "http://example.org/x"):
        schema = {"$ref": reference, "$defs": {"self": {"$ref": "#/$defs/self"}, "marked": {TAG: "x"}}}
        assert list(TagFinder(schema).find("a")) == []


def test_models_are_not_told_of_the_marks() -> None:
    schema = TypeAdapter(Tree).json_schema()
    assert TAG in str(schema)
    assert TAG not in str(without_tags(schema))
    assert (
        without_tags(TypeAdapter(dict[str, int]).json_schema()) == TypeAdapter(dict[str, int]).json_schema()
    )
