"""Operations of an OpenAPI document become contracts, or a clear error."""

from typing import Any

import pytest

from agentflow.adapters.openapi_files import parse_openapi
from agentflow.contracts.sources import AuthScheme, OpenApiSource
from agentflow.contracts.tools import ToolContract
from agentflow.core.imported import ImportedTool
from agentflow.core.openapi import OpenApiDocument
from agentflow.core.schema import compile_schema
from agentflow.errors import ConfigurationError
from tests.core.samples import AIRFLOW_API

ORDER = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}


def document(paths: dict[str, Any], version: str = "3.1.0", **rest: Any) -> OpenApiDocument:
    return OpenApiDocument(
        {"openapi": version, "info": {"title": "Orders", "version": "7"}, "paths": paths, **rest}
    )


def operation(**given: Any) -> dict[str, Any]:
    return {
        "operationId": "get_order",
        "summary": "Get an order",
        "responses": {"200": {"description": "", "content": {"application/json": {"schema": ORDER}}}},
        **given,
    }


def parameter(name: str, place: str = "query", **given: Any) -> dict[str, Any]:
    return {"name": name, "in": place, "schema": {"type": "string"}, **given}


def body(schema: Any, kind: str = "application/json", **given: Any) -> dict[str, Any]:
    return {"required": True, "content": {kind: {"schema": schema}}, **given}


def source_of(contract: ToolContract) -> OpenApiSource:
    assert isinstance(contract.source, OpenApiSource)
    return contract.source


def one(method: str = "get", path: str = "/orders", **given: Any) -> ToolContract:
    return document({path: {method: operation(**given)}}).contract("get_order")


def test_an_operation_becomes_a_contract_with_its_description_and_schemas() -> None:
    contract = one(
        path="/orders/{id}", parameters=[parameter("id", "path", description="The order's number")]
    )
    assert (contract.name, contract.description, contract.effect) == ("get_order", "Get an order", "read")
    assert contract.input_schema == {
        "type": "object",
        "properties": {"id": {"type": "string", "description": "The order's number"}},
        "required": ["id"],
        "additionalProperties": False,
    }
    assert contract.output_schema == ORDER
    assert source_of(contract).operation == "GET /orders/{id}"


@pytest.mark.parametrize("method", ["get", "head"])
def test_get_and_head_are_reads(method: str) -> None:
    assert one(method).effect == "read"


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_every_other_method_is_a_write_that_a_person_is_asked_about(method: str) -> None:
    contract = one(method)
    assert (contract.effect, contract.recovery) == ("write", "ask")


def test_an_operation_that_takes_an_idempotency_key_is_recovered_by_it_and_the_model_never_sees_it() -> None:
    contract = one("post", parameters=[parameter("Idempotency-Key", "header")])
    assert contract.recovery == "key"
    assert source_of(contract).key_header == "Idempotency-Key"
    assert contract.input_schema["properties"] == {}


def test_the_properties_of_a_body_are_arguments_of_their_own() -> None:
    schema = {
        "type": "object",
        "properties": {"sku": {"type": "string"}, "at": {"readOnly": True}},
        "required": ["sku"],
    }
    contract = one("post", requestBody=body(schema))
    assert contract.input_schema["properties"] == {"sku": {"type": "string"}}
    assert contract.input_schema["required"] == ["sku"]


@pytest.mark.parametrize(
    "schema",
    [
        {"oneOf": [ORDER, {"type": "null"}]},
        {"type": "array", "items": ORDER},
        {"type": "object", "properties": {"id": {}}, "additionalProperties": {"type": "string"}},
    ],
)
def test_a_body_that_is_no_closed_object_is_one_argument(schema: dict[str, Any]) -> None:
    contract = one("post", requestBody=body(schema))
    assert list(contract.input_schema["properties"]) == ["body"]


def test_arguments_of_one_name_in_two_places_get_two_names() -> None:
    contract = one(
        "post",
        "/orders/{id}",
        parameters=[parameter("id", "path")],
        requestBody=body({"type": "object", "properties": {"id": {"type": "string"}}}),
    )
    assert list(contract.input_schema["properties"]) == ["id", "id_body"]


def test_names_that_no_provider_takes_are_written_otherwise_and_sent_as_they_are() -> None:
    contract = one(parameters=[parameter("filter[status]")])
    assert list(contract.input_schema["properties"]) == ["filter_status"]
    assert source_of(contract).arguments[0].name == "filter[status]"


def test_an_operations_own_parameter_stands_in_for_the_paths() -> None:
    item = {
        "parameters": [parameter("limit", schema={"type": "string"})],
        "get": operation(parameters=[parameter("limit", schema={"type": "integer"})]),
    }
    contract = document({"/orders": item}).contract("get_order")
    assert contract.input_schema["properties"] == {"limit": {"type": "integer"}}


def test_a_response_without_content_is_null_and_one_of_text_a_string() -> None:
    empty = one("delete", responses={"204": {"description": "gone"}})
    text = one(responses={"200": {"description": "", "content": {"text/plain": {}}}})
    assert (empty.output_schema, text.output_schema) == ({"type": "null"}, {"type": "string"})


def test_several_good_responses_are_any_of_them() -> None:
    contract = one(
        responses={
            "200": {"content": {"application/json": {"schema": ORDER}}},
            "202": {"description": "later"},
            "404": {"content": {"application/json": {"schema": {"type": "string"}}}},
        }
    )
    assert contract.output_schema == {"anyOf": [ORDER, {"type": "null"}]}


def test_auth_is_by_reference_with_its_alternatives() -> None:
    schemes = {
        "token": {"type": "http", "scheme": "Bearer"},
        "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
        "oauth": {"type": "oauth2", "flows": {}},
    }
    found = document(
        {"/orders": {"get": operation(security=[{"token": []}, {"key": [], "oauth": ["read"]}, {}])}},
        components={"securitySchemes": schemes},
    ).contract("get_order")
    assert source_of(found).auth == (
        (AuthScheme(scheme="token", kind="bearer"),),
        (AuthScheme(scheme="key", kind="header", name="X-Key"), AuthScheme(scheme="oauth", kind="bearer")),
        (),
    )


def test_an_operations_security_stands_in_for_the_documents() -> None:
    schemes = {"token": {"type": "http", "scheme": "bearer"}}
    found = document(
        {"/open": {"get": operation(security=[])}, "/shut": {"get": operation(operationId="shut")}},
        components={"securitySchemes": schemes},
        security=[{"token": []}],
    )
    assert source_of(found.contract("get_order")).auth == ()
    assert source_of(found.contract("shut")).auth == ((AuthScheme(scheme="token", kind="bearer"),),)


def test_referenced_schemas_come_along_and_no_others() -> None:
    found = document(
        {
            "/orders": {
                "get": operation(responses={"200": json_response({"$ref": "#/components/schemas/Order"})})
            }
        },
        components={"schemas": {"Order": ORDER, "Other": {"type": "string"}}},
    ).contract("get_order")
    assert found.output_schema == {"$ref": "#/$defs/Order", "$defs": {"Order": ORDER}}


def json_response(schema: Any) -> dict[str, Any]:
    return {"description": "", "content": {"application/json": {"schema": schema}}}


def test_a_recursive_schema_stays_recursive_and_is_checked() -> None:
    tree = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}},
        },
        "required": ["name"],
    }
    found = document(
        {
            "/trees": {
                "get": operation(responses={"200": json_response({"$ref": "#/components/schemas/Tree"})})
            }
        },
        components={"schemas": {"Tree": tree}},
    ).contract("get_order")
    check = compile_schema(found.output_schema, "tree")
    assert check({"name": "a", "parts": [{"name": "b", "parts": []}]}) is None
    assert check({"name": "a", "parts": [{"parts": []}]}) is not None


def test_what_only_costs_tokens_is_left_out() -> None:
    schema = {"type": "string", "title": "Id", "example": "a", "x-internal": 1, "xml": {}, "description": "d"}
    contract = one(parameters=[parameter("id", schema=schema)])
    assert contract.input_schema["properties"] == {"id": {"type": "string", "description": "d"}}


def test_a_property_may_have_the_name_of_a_keyword() -> None:
    schema = {"type": "object", "properties": {"title": {"type": "string"}, "example": {"type": "integer"}}}
    contract = one("post", requestBody=body(schema))
    assert contract.input_schema["properties"] == {
        "title": {"type": "string"},
        "example": {"type": "integer"},
    }


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
        (
            {"type": "string", "enum": ["a"], "nullable": True},
            {"type": ["string", "null"], "enum": ["a", None]},
        ),
        (
            {"allOf": [{"type": "string"}], "nullable": True},
            {"anyOf": [{"allOf": [{"type": "string"}]}, {"type": "null"}]},
        ),
        (
            {"type": "integer", "minimum": 0, "exclusiveMinimum": True},
            {"type": "integer", "exclusiveMinimum": 0},
        ),
        ({"type": "integer", "maximum": 9, "exclusiveMaximum": False}, {"type": "integer", "maximum": 9}),
    ],
)
def test_a_schema_of_openapi_3_0_is_put_in_todays_words(old: dict[str, Any], new: dict[str, Any]) -> None:
    found = document({"/orders": {"get": operation(parameters=[parameter("id", schema=old)])}}, "3.0.3")
    assert found.contract("get_order").input_schema["properties"] == {"id": new}


# Bad input, line by line.


def test_a_reference_that_leads_nowhere_is_an_error_that_names_it() -> None:
    with pytest.raises(ConfigurationError, match=r"GET /orders.*'#/components/schemas/Gone' leads nowhere"):
        one(responses={"200": json_response({"$ref": "#/components/schemas/Gone"})})


def test_a_reference_out_of_the_document_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="leads out of the document; bundle it"):
        one(responses={"200": json_response({"$ref": "https://example.com/order.json"})})


def test_a_parameter_that_refers_to_itself_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="leads in a circle"):
        document(
            {"/orders": {"get": operation(parameters=[{"$ref": "#/components/parameters/id"}])}},
            components={"parameters": {"id": {"$ref": "#/components/parameters/id"}}},
        ).contract("get_order")


def test_a_schema_that_is_nested_without_end_is_an_error() -> None:
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(100):
        deep = {"type": "array", "items": deep}
    with pytest.raises(ConfigurationError, match="nested deeper than"):
        one(parameters=[parameter("id", schema=deep)])


def test_of_five_hundred_operations_none_is_imported_unless_it_is_listed() -> None:
    many = document({f"/things/{n}": {"get": operation(operationId=f"get_{n}")} for n in range(500)})
    with pytest.raises(ConfigurationError, match="has 500 operations: list those that the agent needs"):
        many.contracts([])
    assert [contract.name for contract in many.contracts(["get_7", "GET /things/499"])] == [
        "get_7",
        "get_499",
    ]


def test_two_operations_of_one_name_are_chosen_by_their_paths() -> None:
    twice = document({"/a": {"get": operation()}, "/b": {"get": operation()}})
    with pytest.raises(
        ConfigurationError, match="2 operations are named get_order: write 'GET /a' or 'GET /b'"
    ):
        twice.contracts(["get_order"])
    with pytest.raises(ConfigurationError, match="two operations would be the tool get_order"):
        twice.contracts(["GET /a", "GET /b"])
    chosen = twice.contracts(["GET /a", "GET /b=get_b"])
    assert [source_of(contract).path for contract in chosen] == ["/a", "/b"]
    assert [contract.name for contract in chosen] == ["get_order", "get_b"]


def test_an_unknown_operation_is_an_error_with_what_is_near() -> None:
    with pytest.raises(ConfigurationError, match="no operation 'get_ordr' among its 1; is it get_order"):
        document({"/orders": {"get": operation()}}).contracts(["get_ordr"])


def test_an_operation_without_an_id_is_named_after_its_path() -> None:
    found = document({"/orders/{id}": {"get": {"parameters": [parameter("id", "path")]}}})
    contract = found.contract("GET /orders/{id}")
    assert (contract.name, contract.description) == ("get_orders_id", "GET /orders/{id}")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "no OpenAPI document"),
        ({"swagger": "2.0"}, "Swagger 2"),
        ({"openapi": "2.9"}, "OpenAPI 2.9"),
        ({"title": "x"}, "no OpenAPI"),
        ({"openapi": "3.1.0", "info": {"title": "Orders"}}, "Orders has no paths"),
        ({"openapi": "3.1.0", "paths": {"/a": "b"}}, "an object was expected"),
    ],
)
def test_a_document_that_is_none_is_an_error(given: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        OpenApiDocument(given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"requestBody": body({}, "multipart/form-data")}, "the body is multipart/form-data"),
        ({"parameters": [parameter("id", "matrix")]}, "in 'matrix', which is nowhere"),
        ({"parameters": [parameter("id", style="spaceship")]}, "the style spaceship: not supported"),
        ({"security": [{"gone": []}]}, "no security scheme 'gone'"),
        ({"parameters": [parameter("id", schema="text")]}, "a schema was expected, not str"),
    ],
)
def test_what_can_not_be_called_is_an_error_that_says_why(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        one("post", **given)


def test_a_path_without_its_parameter_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="the path needs id, and no parameter is it"):
        one(path="/orders/{id}")


def test_unsupported_authentication_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="'cert' is a mutualTLS"):
        document(
            {"/orders": {"get": operation(security=[{"cert": []}])}},
            components={"securitySchemes": {"cert": {"type": "mutualTLS"}}},
        ).contract("get_order")


LOOKS_AHEAD = {"type": "string", "pattern": "^(?!test-).+$", "minLength": 3}


@pytest.mark.parametrize(
    "given",
    [
        {"parameters": [parameter("q", schema=LOOKS_AHEAD)]},
        {"responses": {"200": {"content": {"application/json": {"schema": LOOKS_AHEAD}}}}},
    ],
)
def test_a_pattern_that_can_not_be_tested_is_refused_with_a_way_out(given: dict[str, Any]) -> None:
    orders = document({"/orders": {"get": operation(**given)}})
    with pytest.raises(ConfigurationError, match=r"GET /orders.* looks ahead .*--without-patterns"):
        orders.contract("get_order")
    contract = orders.contract("get_order", without_patterns=True)
    assert '"pattern"' not in contract.model_dump_json()
    assert "minLength" in contract.model_dump_json()
    assert source_of(contract).without_patterns
    assert orders.current(source_of(contract), contract.name) == contract


def test_patterns_of_names_are_left_out_alone() -> None:
    schema = {"type": "object", "patternProperties": {"^(?=x)": {}, "^x-": {"type": "integer"}}}
    orders = document({"/orders": {"post": operation(requestBody=body(schema))}})
    contract = orders.contract("get_order", without_patterns=True)
    assert "(?=x)" not in contract.model_dump_json()
    assert "^x-" in contract.model_dump_json()


@pytest.mark.slow
def test_every_operation_of_a_large_public_api_can_be_imported() -> None:
    found = OpenApiDocument(parse_openapi(AIRFLOW_API.read_bytes()))
    assert len(found.operations) > 100
    for each in found.operations:
        contract = found.contract(each.label)
        assert ImportedTool.of(contract.model_dump(mode="json")).contract == contract
        compile_schema(contract.input_schema, contract.name)
        compile_schema(contract.output_schema, contract.name)
