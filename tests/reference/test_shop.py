from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter, ValidationError

from activities.money import UsdText, cents_from_usd, usd_from_cents
from activities.orders import OrderTools
from activities.payments import Payments
from activities.shop import Customer, OrderItem, ShopDatabase, ShopOrder
from activities.shop_seed import CUSTOMERS, ORDERS, seed
from agentflow.errors import ToolError
from tests.forked import FORKS
from tests.reference.conftest import PlaceOrder, context_of

ADA = Customer(email="ada@example.com", name="Ada", tier="standard")
FIRST_DAY = datetime(2026, 1, 1, 9, tzinfo=UTC)


def an_order(number: int) -> ShopOrder:
    return ShopOrder(
        order_id=f"ORD-{number}",
        customer_email=ADA.email,
        placed_at=FIRST_DAY + timedelta(days=number),
        status="shipped",
        paid_usd=Decimal("20.10"),
        charge_id=f"ch_{number}",
        items=(
            OrderItem(title="Pen", quantity=3, unit_usd=Decimal("0.10")),
            OrderItem(title="Bag", quantity=1, unit_usd=Decimal("19.80")),
        ),
    )


async def test_an_order_is_read_as_it_was_stored(shop: ShopDatabase) -> None:
    await shop.fill([ADA], [an_order(5001)])
    assert await shop.order("ORD-5001") == an_order(5001)


async def test_an_unknown_order_is_none(shop: ShopDatabase) -> None:
    assert await shop.order("ORD-9999") is None


async def test_a_customers_orders_are_the_newest_first_and_limited(shop: ShopDatabase) -> None:
    await shop.fill([ADA], [an_order(number) for number in (5002, 5001, 5003)])
    found = await shop.orders_of(ADA.email, limit=2)
    assert [order.order_id for order in found] == ["ORD-5003", "ORD-5002"]


async def test_an_address_is_found_however_it_is_capitalised(shop: ShopDatabase) -> None:
    await shop.fill([ADA], [an_order(5001)])
    assert await shop.customer("Ada@Example.COM") == ADA
    assert len(await shop.orders_of("ADA@example.com", limit=20)) == 1


async def test_an_order_id_that_is_sql_finds_nothing_and_harms_nothing(shop: ShopDatabase) -> None:
    await shop.fill([ADA], [an_order(5001)])
    assert await shop.order("x' OR '1'='1'; DROP TABLE orders; --") is None
    assert await shop.order("ORD-5001") is not None


async def test_a_shop_with_orders_is_not_filled_again(shop: ShopDatabase) -> None:
    assert await shop.fill([ADA], [an_order(5001)])
    assert not await shop.fill([ADA], [an_order(5002)])
    assert await shop.order("ORD-5002") is None


def _fill_in_another_process(path: Path) -> bool:
    import asyncio

    return asyncio.run(ShopDatabase(path).fill([ADA], [an_order(n) for n in range(5001, 5031)]))


def test_of_several_processes_that_fill_a_new_shop_at_once_one_does(tmp_path: Path) -> None:
    path = tmp_path / "shop.sqlite"
    with ProcessPoolExecutor(4, mp_context=FORKS) as workers:
        filled = list(workers.map(_fill_in_another_process, [path] * 8))
    assert filled.count(True) == 1


async def test_seeding_charges_every_paid_order_and_refunds_what_was_refunded(
    seeded: ShopDatabase, payments: Payments
) -> None:
    tools = OrderTools(seeded, payments)
    for expected in ORDERS:
        order = await tools.lookup_order(order_id=expected.order_id)
        assert (order.paid_usd, order.refundable_usd) == (expected.paid_usd, expected.refundable_usd)
        assert order.status == expected.status


async def test_a_seeded_shop_is_left_alone(seeded: ShopDatabase, payments: Payments) -> None:
    refunds = len(await payments.list_refunds())
    assert not await seed(seeded, payments)
    assert len(await payments.list_refunds()) == refunds


def test_the_seed_spans_small_and_large_amounts_and_every_customer_has_an_order() -> None:
    paid = [order.paid_usd for order in ORDERS if order.paid]
    assert (min(paid), max(paid)) == (Decimal("5.00"), Decimal("2400.00"))
    assert {order.email for order in ORDERS} == {customer.email for customer in CUSTOMERS}


async def test_lookup_subtracts_what_payments_refunded(place_order: PlaceOrder, payments: Payments) -> None:
    placed = await place_order("80.00")
    assert placed.charge_id
    await payments.create_refund(placed.charge_id, Decimal("30.50"), key="by-hand", metadata={})
    order = await placed.orders.lookup_order(order_id=placed.order_id)
    assert (order.refunded_usd, order.refundable_usd) == (Decimal("30.50"), Decimal("49.50"))


async def test_lookup_of_an_order_that_was_never_charged_finds_nothing_refundable(
    place_order: PlaceOrder,
) -> None:
    order = await (await place_order("0.00")).orders.lookup_order(order_id="ORD-5001")
    assert (order.paid_usd, order.refundable_usd) == (Decimal(0), Decimal(0))


async def test_lookup_of_an_unknown_order_is_refused_in_words(
    seeded: ShopDatabase, payments: Payments
) -> None:
    with pytest.raises(ToolError, match="no order ORD-9999"):
        await OrderTools(seeded, payments).lookup_order(order_id="ORD-9999")


async def test_an_order_in_json_fits_the_contract(seeded: ShopDatabase, payments: Payments) -> None:
    tools = OrderTools(seeded, payments)
    output = await tools.lookup_order.invoke({"order_id": "ORD-1013"}, context_of("json"))
    assert (output["refunded_usd"], output["items"][0]["unit_usd"]) == ("60.00", "210.00")
    assert Draft202012Validator(OrderTools.lookup_order.contract.output_schema).is_valid(output)


async def test_find_orders_lists_a_customers_orders(seeded: ShopDatabase, payments: Payments) -> None:
    found = await OrderTools(seeded, payments).find_orders(customer_email="nadia.haddad@example.com")
    assert [order.order_id for order in found.orders] == ["ORD-1018", "ORD-1017"]


async def test_find_orders_of_a_stranger_is_empty(seeded: ShopDatabase, payments: Payments) -> None:
    found = await OrderTools(seeded, payments).find_orders(customer_email="nobody@example.com")
    assert found.orders == ()


def test_the_model_reads_money_as_text() -> None:
    schema = OrderTools.lookup_order.contract.output_schema
    assert schema["properties"]["refundable_usd"]["pattern"] == r"^\d{1,6}\.\d{2}$"
    order_id = OrderTools.lookup_order.contract.input_schema["properties"]["order_id"]
    assert order_id["pattern"] == "^ORD-[0-9]{4,8}$"


@given(st.integers(0, 99_999_999))
def test_cents_survive_the_way_to_text_and_back(cents: int) -> None:
    money = TypeAdapter[Decimal](UsdText)
    text = money.dump_python(usd_from_cents(cents), mode="json")
    assert cents_from_usd(money.validate_python(text)) == cents


@pytest.mark.parametrize(
    "text",
    [
        "49",
        "49.0",
        "49.001",
        "-1.00",
        "1e3",
        "NaN",
        "1234567.00",
        "\u0664\u0669.\u0660\u0660",
        "49.00\n",
        49.0,
    ],
)
def test_other_spellings_of_money_are_refused(text: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter[Decimal](UsdText).validate_python(text)
