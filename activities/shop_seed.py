"""A small shop to try the support agent on: the same customers, orders and amounts every time."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from activities.payments import Payments, SavedCard
from activities.shop import Customer, OrderItem, OrderStatus, ShopDatabase, ShopOrder


class SeedOrder(NamedTuple):
    """An order of the seed, before payments gave it a charge."""

    order_id: str
    email: str
    status: OrderStatus
    placed: str
    """Day, as ISO 8601."""
    delivered: str | None
    items: tuple[tuple[str, int, str], ...]
    """Title, quantity, dollars for each piece."""
    refunded_usd: str = "0.00"
    """What was refunded before any agent came."""
    paid: bool = True
    """False when it was cancelled before the customer paid."""

    @property
    def paid_usd(self) -> Decimal:
        """What the customer was charged."""
        if not self.paid:
            return Decimal("0.00")
        return sum((quantity * Decimal(usd) for _, quantity, usd in self.items), Decimal("0.00"))

    @property
    def refundable_usd(self) -> Decimal:
        """What can still be refunded right after seeding."""
        return self.paid_usd - Decimal(self.refunded_usd)


CUSTOMERS = (
    Customer(email="maya.lindqvist@example.com", name="Maya Lindqvist", tier="standard"),
    Customer(email="jonas.weber@example.org", name="Jonas Weber", tier="standard"),
    Customer(email="priya.nair@example.com", name="Priya Nair", tier="free"),
    Customer(email="tom.okafor@example.net", name="Tom Okafor", tier="standard"),
    Customer(email="lucia.fernandez@example.org", name="Lucía Fernández", tier="standard"),
    Customer(email="hannah.brooks@example.com", name="Hannah Brooks", tier="standard"),
    Customer(email="victor.santos@example.com", name="Victor Santos", tier="standard"),
    Customer(email="amelie.rousseau@example.org", name="Amélie Rousseau", tier="standard"),
    Customer(email="kenji.tanaka@example.net", name="Kenji Tanaka", tier="free"),
    Customer(email="sofia.almeida@example.com", name="Sofia Almeida", tier="standard"),
    Customer(email="olivia.grant@example.com", name="Olivia Grant", tier="standard"),
    Customer(email="daniel.cho@example.com", name="Daniel Cho", tier="free"),
    Customer(email="rachel.kim@example.net", name="Rachel Kim", tier="standard"),
    Customer(email="marcus.hill@example.com", name="Marcus Hill", tier="free"),
    Customer(email="elena.petrova@example.org", name="Elena Petrova", tier="standard"),
    Customer(email="greg.dalton@example.com", name="Greg Dalton", tier="free"),
    Customer(email="nadia.haddad@example.com", name="Nadia Haddad", tier="standard"),
    Customer(email="owen.murphy@example.net", name="Owen Murphy", tier="standard"),
    Customer(email="grace.lee@example.com", name="Grace Lee", tier="free"),
    Customer(email="samir.khan@example.org", name="Samir Khan", tier="standard"),
    Customer(email="ingrid.berg@example.net", name="Ingrid Berg", tier="enterprise"),
    Customer(email="peter.novak@example.com", name="Peter Novák", tier="free"),
    Customer(email="chloe.martin@example.com", name="Chloe Martin", tier="standard"),
    Customer(email="ben.archer@example.net", name="Ben Archer", tier="free"),
    Customer(email="carla.jensen@example.com", name="Carla Jensen", tier="standard"),
    Customer(email="aisha.rahman@example.org", name="Aisha Rahman", tier="standard"),
)


# The tickets of workflows/support_tickets.jsonl speak of these orders.
# fmt: off
ORDERS = (
    SeedOrder("ORD-1001", "maya.lindqvist@example.com", "delivered", "2026-11-02", "2026-11-06",
              (("Ceramic pour-over set", 1, "49.00"),)),
    SeedOrder("ORD-1002", "jonas.weber@example.org", "delivered", "2026-10-28", "2026-11-03",
              (("Bedside lamp", 2, "39.50"),)),
    SeedOrder("ORD-1003", "priya.nair@example.com", "delivered", "2026-11-09", "2026-11-12",
              (("Phone case, clear", 1, "18.50"),)),
    SeedOrder("ORD-1004", "tom.okafor@example.net", "delivered", "2026-11-10", "2026-11-14",
              (("Wireless headphones", 1, "129.99"),)),
    SeedOrder("ORD-1005", "lucia.fernandez@example.org", "shipped", "2026-10-12", None,
              (("Leather espadrilles", 1, "46.70"), ("Woven belt", 1, "17.50"))),
    SeedOrder("ORD-1006", "hannah.brooks@example.com", "delivered", "2026-11-01", "2026-11-09",
              (("Standing desk", 1, "449.00"),)),
    SeedOrder("ORD-1007", "victor.santos@example.com", "delivered", "2026-11-04", "2026-11-08",
              (("14-inch laptop", 1, "1299.00"),)),
    SeedOrder("ORD-1008", "amelie.rousseau@example.org", "delivered", "2026-10-30", "2026-11-05",
              (("Espresso machine", 1, "289.90"), ("Descaling kit", 1, "22.50"))),
    SeedOrder("ORD-1009", "kenji.tanaka@example.net", "delivered", "2026-11-05", "2026-11-11",
              (("Santoku knife", 1, "88.00"),)),
    SeedOrder("ORD-1010", "sofia.almeida@example.com", "delivered", "2026-11-03", "2026-11-10",
              (("Linen duvet cover", 1, "89.00"), ("Pillowcase", 2, "13.25"), ("Bed throw", 1, "41.25"))),
    SeedOrder("ORD-1011", "olivia.grant@example.com", "cancelled", "2026-11-05", None,
              (("Rain jacket", 1, "95.00"),), refunded_usd="95.00"),
    SeedOrder("ORD-1012", "daniel.cho@example.com", "cancelled", "2026-11-15", None,
              (("Board game", 1, "42.00"),), paid=False),
    SeedOrder("ORD-1013", "rachel.kim@example.net", "delivered", "2026-10-20", "2026-10-25",
              (("Cordless vacuum", 1, "210.00"),), refunded_usd="60.00"),
    SeedOrder("ORD-1014", "marcus.hill@example.com", "delivered", "2026-11-06", "2026-11-10",
              (("Two-slot toaster", 1, "59.90"),)),
    SeedOrder("ORD-1015", "elena.petrova@example.org", "delivered", "2026-11-07", "2026-11-12",
              (("Espresso cups, set of six", 1, "75.00"),)),
    SeedOrder("ORD-1016", "greg.dalton@example.com", "delivered", "2026-11-08", "2026-11-13",
              (("Gardening gloves", 2, "12.00"),)),
    SeedOrder("ORD-1017", "nadia.haddad@example.com", "delivered", "2026-10-29", "2026-11-02",
              (("Yoga mat", 1, "34.99"),)),
    SeedOrder("ORD-1018", "nadia.haddad@example.com", "delivered", "2026-11-05", "2026-11-09",
              (("Running shoes", 1, "119.00"),)),
    SeedOrder("ORD-1019", "owen.murphy@example.net", "delivered", "2026-10-18", "2026-10-24",
              (("Gaming PC", 1, "2400.00"),)),
    SeedOrder("ORD-1020", "grace.lee@example.com", "delivered", "2026-11-12", "2026-11-16",
              (("Greeting card", 1, "5.00"),)),
    SeedOrder("ORD-1021", "samir.khan@example.org", "processing", "2026-11-21", None,
              (("Mechanical keyboard", 1, "189.00"),)),
    SeedOrder("ORD-1022", "ingrid.berg@example.net", "delivered", "2026-11-02", "2026-11-12",
              (("Office chair", 4, "160.00"),)),
    SeedOrder("ORD-1023", "peter.novak@example.com", "delivered", "2026-11-01", "2026-11-06",
              (("Desk fan", 1, "72.30"),)),
    SeedOrder("ORD-1024", "chloe.martin@example.com", "shipped", "2026-11-18", None,
              (("Wool blanket", 1, "139.00"),)),
    SeedOrder("ORD-1025", "chloe.martin@example.com", "delivered", "2026-11-04", "2026-11-08",
              (("Picture frame", 2, "13.75"),)),
    SeedOrder("ORD-1026", "ben.archer@example.net", "delivered", "2026-11-13", "2026-11-17",
              (("Mirrorless camera", 1, "999.00"),)),
    SeedOrder("ORD-1027", "ingrid.berg@example.net", "delivered", "2026-11-09", "2026-11-14",
              (("4K projector", 1, "1850.00"),)),
    SeedOrder("ORD-1028", "carla.jensen@example.com", "shipped", "2026-11-19", None,
              (("Cookbook", 2, "22.00"),)),
    SeedOrder("ORD-1029", "aisha.rahman@example.org", "delivered", "2026-11-06", "2026-11-11",
              (("Electric kettle", 1, "53.00"),)),
    SeedOrder("ORD-1030", "elena.petrova@example.org", "delivered", "2026-11-10", "2026-11-15",
              (("Milk frother", 1, "31.00"),)),
)
# fmt: on


async def seed(shop: ShopDatabase, payments: Payments) -> bool:
    """Charge the seed's customers at payments, make the earlier refunds there, then fill the shop.

    Returns:
        False, and nothing is changed, when the shop already has orders.
    """
    if not await shop.is_empty():
        return False
    cards = {person.email: await payments.create_customer(person.email, person.name) for person in CUSTOMERS}
    orders = [await _place(order, cards[order.email], payments) for order in ORDERS]
    return await shop.fill(CUSTOMERS, orders)


async def _place(order: SeedOrder, card: SavedCard, payments: Payments) -> ShopOrder:
    charge_id = None
    if order.paid:
        charge_id = await payments.create_charge(card, order.paid_usd, {"order_id": order.order_id})
        if Decimal(order.refunded_usd) > 0:
            await payments.create_refund(
                charge_id,
                Decimal(order.refunded_usd),
                key=f"seed-{charge_id}",
                # No agentflow_key: this refund is nobody's tool call.
                metadata={"order_id": order.order_id, "made_by": "seed"},
            )
    return ShopOrder(
        order_id=order.order_id,
        customer_email=order.email,
        placed_at=_at(order.placed, hour=9),
        status=order.status,
        delivered_at=None if order.delivered is None else _at(order.delivered, hour=15),
        paid_usd=order.paid_usd,
        charge_id=charge_id,
        items=tuple(
            OrderItem(title=title, quantity=quantity, unit_usd=Decimal(usd))
            for title, quantity, usd in order.items
        ),
    )


def _at(day: str, *, hour: int) -> datetime:
    return datetime.fromisoformat(day).replace(hour=hour, tzinfo=UTC)
