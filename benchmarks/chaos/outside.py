"""The shop of the chaos run: an order with a charge of its own for each run."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from activities.payments import Payments
from activities.shop import Customer, OrderItem, ShopDatabase, ShopOrder

_BUYER = Customer(email="nina.berg@example.com", name="Nina Berg", tier="standard")
_PAID = Decimal("50.00")
"""Several times what is refunded, so that payments refuse no second refund."""
_AT_ONCE = 20


async def stock(directory: Path, payments: Payments, number: int) -> list[tuple[str, str]]:
    """Charge so many orders, and fill ``shop.sqlite`` with them; answer order numbers and charges."""
    card = await payments.create_customer(_BUYER.email, _BUYER.name)
    gate = asyncio.Semaphore(_AT_ONCE)

    async def charged(order_id: str) -> tuple[str, str]:
        async with gate:
            return order_id, await payments.create_charge(card, _PAID, {"order_id": order_id})

    charges = await asyncio.gather(*(charged(f"ORD-{10_000 + index}") for index in range(number)))
    orders = [
        ShopOrder(
            order_id=order_id,
            customer_email=_BUYER.email,
            placed_at=datetime(2026, 11, 1, tzinfo=UTC),
            status="delivered",
            paid_usd=_PAID,
            charge_id=charge_id,
            items=(OrderItem(title="Lamp", quantity=1, unit_usd=_PAID),),
        )
        for order_id, charge_id in charges
    ]
    await ShopDatabase(directory / "shop.sqlite").fill([_BUYER], orders)
    return charges
