"""Arithmetic that a sink declares is worked out by code, of numbers that are named and trusted."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agentflow.contracts.derived import Derived, Operand
from agentflow.contracts.tools import Sink, ToolContract
from agentflow.core.derived import MAX_RECORDS, check_derived
from agentflow.core.provenance import PastCall, Provenance
from agentflow.errors import ToolDefinitionError
from tests.core.samples import contract_of

ARGUMENTS = ("amount", "item_ids", "quantity", "unit_price", "order")
OF_ORDER = Operand(field="price", of="get_order", by="item_ids", key="item_id")
GET_ORDER = contract_of("get_order", "read").model_copy(update={"trusted_output": True})
ORDER = {
    "total": "70.40",
    "items": [
        {"item_id": "A11", "price": 19.9},
        {"item_id": "B22", "price": "50.50"},
        {"item_id": "C33", "price": 7},
    ],
}


def refund(derived: Derived | None) -> ToolContract:
    contract = contract_of("refund").model_dump() | {
        "input_schema": {
            "type": "object",
            "properties": {**{name: {} for name in ARGUMENTS}, "unit_price": {"default": 2}},
            "additionalProperties": False,
        },
        "sinks": [Sink(argument="amount", derived=derived), Sink(argument="item_ids")],
    }
    return ToolContract.model_validate(contract)


def trusting(task: Any = "Refund A11 and B22, 3 pieces", order: Any = ORDER) -> Provenance:
    return Provenance().plus("task", task).after(GET_ORDER, PastCall("c1", "get_order", {}, order))


def untrusted(derived: Derived | None, trusted: Provenance, **arguments: Any) -> list[str]:
    return [sink.argument for sink in trusted.untrusted_sinks(refund(derived), arguments)]


SUM = Derived.of("sum", OF_ORDER)


@pytest.mark.parametrize("amount", ["70.4", "70.40", 70.4])
def test_a_sum_of_the_records_that_the_call_names_needs_nobody(amount: Any) -> None:
    assert untrusted(SUM, trusting(order=ORDER | {"total": 1}), amount=amount, item_ids=["A11", "B22"]) == []
    assert untrusted(None, trusting(order=ORDER | {"total": 1}), amount=amount, item_ids=["A11", "B22"]) == [
        "amount"
    ]


@pytest.mark.parametrize(
    ("amount", "item_ids"),
    [
        ("70.41", ["A11", "B22"]),
        ("140.80", ["A11", "B22", "A11", "B22"]),
        ("39.80", ["A11", "A11"]),
        ("26.90", ["A11", "B22"]),
        ("0", []),
        ("70.40", []),
        ("70.40", ["A11", "B22", "Z99"]),
        (["70.40"], ["A11", "B22"]),
        ({"usd": "70.40"}, ["A11", "B22"]),
        (True, ["A11"]),
    ],
)
def test_another_result_or_choice_of_records_is_asked_about(amount: Any, item_ids: list[str]) -> None:
    order = ORDER | {"total": 1}
    assert "amount" in untrusted(SUM, trusting(order=order), amount=amount, item_ids=item_ids)


def test_records_that_nobody_vouches_for_come_to_nothing() -> None:
    untold = Provenance().plus("task", "Refund A11 and B22")
    mail = untold.after(contract_of("get_order", "read"), PastCall("c1", "get_order", {}, ORDER))
    assert untrusted(SUM, mail, amount="70.40", item_ids=["A11", "B22"]) == ["amount"]


def test_an_operand_that_is_not_trusted_comes_to_nothing() -> None:
    product = Derived.of("product", "quantity", Decimal("9.90"))
    assert untrusted(product, trusting({"quantity": 3}), amount="29.70", quantity=3) == []
    assert untrusted(product, trusting("Buy some"), amount="29.70", quantity=3) == ["amount"]


def test_records_that_say_two_numbers_come_to_nothing() -> None:
    twice = {"old": ORDER["items"], "new": [{"item_id": "A11", "price": 500}]}
    with_fee = Derived.of("sum", OF_ORDER, 1)
    assert untrusted(with_fee, trusting("Refund A11"), amount="20.90", item_ids=["A11"]) == []
    for amount in ("20.90", "501", "520.90"):
        assert "amount" in untrusted(with_fee, trusting("Refund A11", twice), amount=amount, item_ids=["A11"])


@pytest.mark.parametrize("arithmetic", ["product", "difference"])
def test_only_a_sum_takes_several_records(arithmetic: Any) -> None:
    order = [{"item_id": "A11", "price": 3}, {"item_id": "B22", "price": 5}]
    declared = Derived.of(arithmetic, OF_ORDER, 7)
    for amount in (3 * 5 * 7, 3 * 7, 5 * 7, 3 - 5 - 7, 3 - 7, 5 - 7):
        found = untrusted(declared, trusting(order=order), amount=amount, item_ids=["A11", "B22"])
        assert found == ["amount"]


def test_of_too_many_records_nothing_is_worked_out() -> None:
    many = {"items": ORDER["items"], "more": [{}] * MAX_RECORDS}
    with_fee = Derived.of("sum", OF_ORDER, 1)
    assert untrusted(with_fee, trusting("Refund A11", many), amount="20.90", item_ids=["A11"]) == ["amount"]


def test_a_field_without_by_must_be_one_number() -> None:
    rest = Derived.of("difference", Operand(field="total", of="get_order"), Decimal("0.40"))
    assert untrusted(rest, trusting(), amount=70) == []
    assert untrusted(rest, trusting(order=[ORDER, {"total": 9}]), amount=70) == ["amount"]
    prices = Derived.of("sum", Operand(field="price", of="get_order"), Decimal(1))
    assert untrusted(prices, trusting(), amount="20.90") == ["amount"]


def test_a_default_is_the_contracts_word_and_a_field_may_be_the_tasks() -> None:
    product = Derived.of("product", "unit_price", Operand(field="pieces", of="task"))
    trusted = trusting({"pieces": 7})
    assert untrusted(product, trusted, amount=14, unit_price=2) == []
    assert untrusted(product, trusted, amount=21, unit_price=3) == ["amount"]


def test_a_derived_argument_counts_for_rules_and_has_its_label() -> None:
    contract, arguments = refund(SUM), {"amount": "70.40", "item_ids": ["A11", "B22"]}
    trusted = trusting(order=ORDER | {"total": 1})
    assert trusted.argument_label(contract, arguments, "amount") == "derived"
    assert trusted.origins(arguments, [], contract)["amount"] == "derived"


numbers = st.decimals(-(10**6), 10**6, places=2) | st.integers(-(10**9), 10**9)


@given(st.sampled_from(["sum", "difference", "product"]), numbers, numbers, numbers)
def test_only_the_exact_result_of_the_named_numbers_is_trusted(
    arithmetic: Any, one: Any, two: Any, asked: Any
) -> None:
    one, two = Decimal(one), Decimal(two)
    result = {"sum": one + two, "difference": one - two, "product": one * two}[arithmetic]
    declared = Derived.of(arithmetic, Operand(field="a", of="task"), Operand(field="b", of="task"))
    trusted = Provenance().plus("task", {"a": str(one), "b": str(two)})
    for amount in (result, Decimal(asked)):
        found = untrusted(declared, trusted, amount=f"{amount:f}")
        is_said = trusted.label(f"{amount:f}", "amount") is not None
        assert (found == []) == (amount == result or is_said)


@pytest.mark.parametrize("number", ["1e999999", "Infinity", "NaN", "1" * 200, "0x10", "1_0", "\u0661"])
def test_what_is_no_plain_number_is_no_operand_and_no_result(number: str) -> None:
    total = Derived.of("sum", Operand(field="a", of="task"), Operand(field="b", of="task"))
    trusted = Provenance().plus("task", {"a": number, "b": 1})
    assert untrusted(total, trusted, amount="11") == ["amount"]
    assert untrusted(total, Provenance().plus("task", {"a": 9, "b": 1}), amount=number) == ["amount"]


@pytest.mark.parametrize(
    ("derived", "problem"),
    [
        (lambda: Derived.of("sum", "amont", "quantity"), "is derived of 'amont', which is no argument"),
        (lambda: Derived.of("sum", "amount", "quantity"), "is derived of itself"),
        (
            lambda: Derived.of("sum", Operand(field="price", of="get_order", by="amount")),
            "is derived of itself",
        ),
        (
            lambda: Derived.of("sum", Operand(field="price", of="get_order", by="ids")),
            "is derived of 'ids', which is no argument",
        ),
        (lambda: Derived.of("sum", "quantity"), "two operands at least"),
        (lambda: Derived.of("product", OF_ORDER), "two operands at least"),
        (lambda: Derived.of("sum", 1, 2), "all operands are constants"),
        (lambda: Derived.of("sum"), "at least 1 item"),
        (lambda: Derived.of("sum", *["quantity"] * 9), "at most 8 items"),
        (lambda: Derived.of("mean", "quantity", 1), "Input should be 'sum', 'difference' or 'product'"),  # type: ignore[arg-type]
        (lambda: Derived.of("sum", "quantity", Operand()), "a field or a number"),
        (lambda: Derived.of("sum", "quantity", Decimal("NaN")), "finite"),
        (lambda: Derived.of("sum", "quantity", Operand(field="price", by="item_ids")), "say of which tool"),
        (lambda: Derived.of("sum", "quantity", Operand(field="x", of="t", key="k")), "say by which argument"),
    ],
)
def test_a_declaration_that_names_nothing_is_refused(derived: Any, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        refund(derived())


def test_only_whole_values_are_derived() -> None:
    with pytest.raises(ValidationError, match='only kind="value" can be'):
        Sink(argument="text", kind="words", derived=Derived.of("sum", "a", "b"))


NAMED = {"type": "object", "properties": {"items": {"items": {"properties": {"item_id": {}, "price": {}}}}}}


@pytest.mark.parametrize(
    ("change", "operand", "problem"),
    [
        ({"name": "other"}, OF_ORDER, "the agent has no tool get_order"),
        ({"trusted_output": False}, OF_ORDER, "nobody vouches for the output of get_order"),
        ({}, Operand(field="prize", of="get_order"), "has no field prize; is it price?"),
        ({}, Operand(field="price", of="get_order", by="item_ids"), "has no field item_ids"),
    ],
)
def test_an_agent_without_what_a_declaration_names_is_refused(
    change: dict[str, Any], operand: Operand, problem: str
) -> None:
    looks = GET_ORDER.model_copy(update={"output_schema": NAMED, **change})
    with pytest.raises(ToolDefinitionError, match=problem):
        check_derived([refund(Derived.of("sum", operand, 1)), looks])


def test_an_agent_with_what_a_declaration_names_is_fine() -> None:
    looks = GET_ORDER.model_copy(update={"output_schema": NAMED})
    check_derived([refund(SUM), looks])
    check_derived([refund(Derived.of("sum", Operand(field="any", of="task"), 1)), GET_ORDER])


def test_a_declaration_crosses_the_wire_and_one_that_is_none_takes_no_place() -> None:
    contract = refund(SUM)
    assert ToolContract.model_validate_json(contract.model_dump_json()) == contract
    assert "derived" not in Sink(argument="a").model_dump(mode="json")
