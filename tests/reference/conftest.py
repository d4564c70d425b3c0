"""What the reference agent's tools run against: a real payments process, real SQLite files."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest

from activities.orders import OrderTools
from activities.payments import Payments, PaymentTools
from activities.payments_server import PaymentsServer
from activities.shop import Customer, OrderItem, ShopDatabase, ShopOrder
from activities.shop_seed import seed
from agentflow.activity.context import ToolContext
from agentflow.contracts.wire import ToolCallId, sha256_of

API_KEY = "sk_test_reference"


class PaidOrder(NamedTuple):
    """One order in a shop of its own, and the tools that work on it."""

    order_id: str
    charge_id: str | None
    orders: OrderTools
    refunds: PaymentTools


def context_of(call: str) -> ToolContext:
    return ToolContext(call_id=ToolCallId(call), idempotency_key=sha256_of(call))


@pytest.fixture(scope="session")
async def payments_url() -> AsyncIterator[str]:
    async with PaymentsServer() as server:
        yield server.base_url


@pytest.fixture(scope="session")
async def payments(payments_url: str) -> AsyncIterator[Payments]:
    client = Payments(API_KEY, payments_url)
    yield client
    await client.close()


@pytest.fixture
def shop(tmp_path: Path) -> ShopDatabase:
    return ShopDatabase(tmp_path / "shop.sqlite")


@pytest.fixture(scope="session")
async def seeded(payments: Payments, tmp_path_factory: pytest.TempPathFactory) -> ShopDatabase:
    database = ShopDatabase(tmp_path_factory.mktemp("seeded") / "shop.sqlite")
    assert await seed(database, payments)
    return database


PlaceOrder = Callable[[str], Awaitable[PaidOrder]]


@pytest.fixture
def place_order(shop: ShopDatabase, payments: Payments) -> PlaceOrder:
    """Places ORD-5001, paid with the given dollars; "0.00" is never charged."""

    async def place(paid_usd: str) -> PaidOrder:
        charge_id = None
        if Decimal(paid_usd):
            card = await payments.create_customer("ada@example.com", "Ada")
            charge_id = await payments.create_charge(card, Decimal(paid_usd), {"order_id": "ORD-5001"})
        order = ShopOrder(
            order_id="ORD-5001",
            customer_email="ada@example.com",
            placed_at=datetime(2026, 11, 1, tzinfo=UTC),
            status="delivered",
            paid_usd=Decimal(paid_usd),
            charge_id=charge_id,
            items=(OrderItem(title="Lamp", quantity=1, unit_usd=Decimal(paid_usd)),),
        )
        await shop.fill([Customer(email="ada@example.com", name="Ada", tier="standard")], [order])
        return PaidOrder("ORD-5001", charge_id, OrderTools(shop, payments), PaymentTools(shop, payments))

    return place
