import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agentflow.contracts.budget import Budget, Spend
from agentflow.contracts.wire import MAX_DEPTH, canonical_json, sha256_of
from tests.core.strategies import any_text, json_values


def shuffled(draw: st.DrawFn, value: Any) -> Any:
    """The same value with the keys of every object in another order."""
    if isinstance(value, dict):
        items = draw(st.permutations(list(value.items())))
        return {key: shuffled(draw, part) for key, part in items}
    return [shuffled(draw, part) for part in value] if isinstance(value, list) else value


@st.composite
def two_orders(draw: st.DrawFn) -> tuple[Any, Any]:
    value = draw(json_values)
    return value, shuffled(draw, value)


@given(two_orders())
def test_the_order_of_keys_changes_no_byte(pair: tuple[Any, Any]) -> None:
    one, other = pair
    assert canonical_json(one) == canonical_json(other)
    assert sha256_of(one) == sha256_of(other)


@given(json_values)
def test_canonical_json_is_json_of_the_same_value(value: Any) -> None:
    assert json.loads(canonical_json(value)) == value


@given(json_values)
def test_writing_what_was_read_changes_no_byte(value: Any) -> None:
    # A value crosses the wire several times between its decision and its execution.
    assert canonical_json(json.loads(canonical_json(value))) == canonical_json(value)


@given(any_text, any_text)
def test_different_texts_have_different_bytes_lone_surrogates_included(one: str, other: str) -> None:
    assert (canonical_json(one) == canonical_json(other)) == (one == other)


def test_one_and_one_point_zero_and_true_are_three_values() -> None:
    assert len({canonical_json(value) for value in (1, 1.0, True, "1", [1], None)}) == 6


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"deep": [float("-inf")]}])
def test_what_json_does_not_have_is_a_value_error(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(value)


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", Decimal(1)])
def test_what_is_no_json_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError):
        canonical_json(value)


def test_a_contract_refuses_unknown_fields() -> None:
    with pytest.raises(ValidationError, match="cost_eur"):
        Budget.model_validate({"cost_eur": 5})


def test_a_contract_does_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Spend().cost_usd = Decimal(5)  # type: ignore[misc]


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-0.01", "1000000000000", "0.0000000000001"])
def test_dollars_are_finite_and_exact_and_never_negative(amount: str) -> None:
    with pytest.raises(ValidationError):
        Spend(cost_usd=Decimal(amount))


@given(st.decimals(0, 999_999, places=12))
def test_dollars_cross_the_wire_exactly(amount: Decimal) -> None:
    sent = Spend(cost_usd=amount)
    assert Spend.model_validate_json(sent.model_dump_json()).cost_usd == amount


def test_nesting_is_bounded_alike_on_every_python() -> None:
    deepest: object = 1
    for _ in range(MAX_DEPTH):
        deepest = [deepest]
    assert canonical_json(deepest)
    with pytest.raises(ValueError, match="nested deeper"):
        canonical_json({"one more": deepest})
