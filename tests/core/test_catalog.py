from typing import Any

import pytest
from hypothesis import given

from agentflow.contracts.messages import ToolCall
from agentflow.contracts.tools import ToolOptions
from agentflow.contracts.wire import ToolCallId
from agentflow.core.catalog import Catalog
from agentflow.errors import ConfigurationError, ToolDefinitionError
from tests.core.samples import call_of, contract_of
from tests.core.strategies import odd_objects

AMOUNT = {
    "type": "object",
    "properties": {"amount": {"type": "number", "multipleOf": 0.01}},
    "additionalProperties": False,
}
TEXT = {"type": "object", "properties": {"text": {}}, "additionalProperties": False}
CATALOG = Catalog.of(
    [
        contract_of("refund", input_schema=AMOUNT),
        contract_of("note", input_schema=TEXT, options=ToolOptions(max_argument_bytes=20)),
    ]
)


def test_a_call_that_fits_its_contract_has_no_problem() -> None:
    assert CATALOG.check(call_of("refund", amount=5)) is None


def test_an_unknown_tool_is_told_which_there_are() -> None:
    problem = CATALOG.check(call_of("drop_tables" * 50))
    assert problem is not None
    assert problem.kind == "unknown_tool"
    assert problem.message.endswith("there are: note, refund")
    assert len(problem.message) < 200


def test_arguments_off_the_contract_are_told() -> None:
    problem = CATALOG.check(call_of("refund", amount="five"))
    assert problem is not None
    assert problem.kind == "invalid_arguments"
    assert problem.message.startswith("amount: ")


def test_an_unknown_argument_is_refused() -> None:
    problem = CATALOG.check(call_of("refund", currency="USD"))
    assert problem is not None
    assert problem.kind == "invalid_arguments"


@pytest.mark.parametrize(("text", "fits"), [("x" * 9, True), ("x" * 10, False), ("é" * 5, False)])
def test_arguments_are_measured_in_bytes_with_size_and_limit_told(text: str, fits: bool) -> None:
    problem = CATALOG.check(call_of("note", text=text))
    assert (problem is None) == fits
    if problem:
        assert problem.message == "the arguments are 21 bytes; the limit is 20 bytes"


@given(odd_objects)
def test_checking_a_call_never_raises(arguments: dict[str, Any]) -> None:
    call = ToolCall.model_construct(id=ToolCallId("call_1"), tool="refund", arguments=arguments)
    problem = CATALOG.check(call)
    assert (problem is None) == (arguments.keys() <= {"amount"} and is_cents(arguments.get("amount", 0)))


def is_cents(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == 0


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(ToolDefinitionError, match="two tools are named refund"):
        Catalog.of([contract_of("refund"), contract_of("refund", "read")])


def test_an_invalid_schema_names_the_tool() -> None:
    with pytest.raises(ConfigurationError, match="input schema of tool pay"):
        Catalog.of([contract_of("pay", input_schema={"type": 5, "additionalProperties": False})])


def test_a_model_is_offered_names_descriptions_and_schemas() -> None:
    offer = CATALOG.offers()[0]
    assert (offer.name, offer.description, offer.input_schema) == ("refund", "The refund tool.", AMOUNT)


def test_every_part_of_a_contract_is_in_the_hash() -> None:
    base = contract_of("refund")
    others = [
        base,
        contract_of("refund", "irreversible"),
        contract_of("refund", input_schema=AMOUNT),
        contract_of("refund", options=ToolOptions(max_result_bytes=5)),
        base.model_copy(update={"recovery": "key"}),
        base.model_copy(update={"scopes": ("pay",)}),
    ]
    assert len({Catalog.of([contract]).hash() for contract in others}) == len(others)


@pytest.mark.parametrize("schema", [{"type": "object"}, {"additionalProperties": True}, {"properties": {}}])
def test_a_tool_that_takes_arguments_nobody_named_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(ToolDefinitionError, match=r'tool pay takes .* write "additionalProperties": false'):
        Catalog.of([contract_of("pay", input_schema=schema)])


def test_a_tool_outside_the_granted_scopes_is_not_on_offer_and_denied() -> None:
    contracts = [
        contract_of("look", "read").model_copy(update={"scopes": ("orders:read",)}),
        contract_of("pay").model_copy(update={"scopes": ("orders:read", "money:send")}),
    ]
    catalog = Catalog.of(contracts, ["orders:read"])
    assert [offer.name for offer in catalog.offers()] == ["look"]
    problem = catalog.check(call_of("pay"))
    assert problem is not None
    assert problem.kind == "denied"
    assert problem.message == "pay needs the scope money:send, which the release does not grant"
