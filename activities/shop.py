"""The shop's own database: customers, their orders, and which charge paid for each."""

import sqlite3
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from activities.money import UsdText, cents_from_usd, usd_from_cents
from activities.sqlite import SqliteFile
from agentflow.contracts.wire import Contract

OrderId = Annotated[str, Field(pattern=r"^ORD-[0-9]{4,8}$")]
"""The model writes order numbers, so their form is part of each tool's contract."""

Email = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$", max_length=254)]
"""An e-mail address, at most as long as RFC 5321 lets it be."""

CustomerTier = Literal["free", "standard", "enterprise"]

OrderStatus = Literal["processing", "shipped", "delivered", "cancelled"]


class Customer(Contract):
    """Somebody who has an account."""

    email: Email
    name: str
    tier: CustomerTier


class OrderItem(Contract):
    """One line of an order."""

    title: str
    quantity: int = Field(ge=1)
    unit_usd: UsdText
    """Price of one piece."""


class ShopOrder(Contract):
    """An order as the shop keeps it. What was refunded is not here: payments is the source of that."""

    order_id: OrderId
    customer_email: Email
    placed_at: datetime
    status: OrderStatus
    delivered_at: datetime | None = None
    paid_usd: UsdText = Decimal("0.00")
    """What the customer was charged; 0.00 when the order was cancelled before it was paid."""
    charge_id: str | None = None
    """The charge at payments; ``None`` when nothing was ever charged."""
    items: tuple[OrderItem, ...]


_SCHEMA = """
CREATE TABLE IF NOT EXISTS customers (
    email TEXT PRIMARY KEY COLLATE NOCASE,
    name  TEXT NOT NULL,
    tier  TEXT NOT NULL CHECK (tier IN ('free', 'standard', 'enterprise'))
);
CREATE TABLE IF NOT EXISTS orders (
    order_id       TEXT PRIMARY KEY,
    customer_email TEXT NOT NULL COLLATE NOCASE REFERENCES customers (email),
    placed_at      TEXT NOT NULL,
    status         TEXT NOT NULL CHECK (status IN ('processing', 'shipped', 'delivered', 'cancelled')),
    delivered_at   TEXT,
    paid_cents     INTEGER NOT NULL CHECK (paid_cents >= 0),
    charge_id      TEXT UNIQUE
);
CREATE INDEX IF NOT EXISTS orders_of_customer ON orders (customer_email, placed_at);
CREATE TABLE IF NOT EXISTS order_items (
    order_id   TEXT NOT NULL REFERENCES orders (order_id),
    position   INTEGER NOT NULL,
    title      TEXT NOT NULL,
    quantity   INTEGER NOT NULL CHECK (quantity >= 1),
    unit_cents INTEGER NOT NULL CHECK (unit_cents >= 0),
    PRIMARY KEY (order_id, position)
);
"""


class ShopDatabase:
    """The shop's SQLite file. The agent only reads it; the seed writes it once."""

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path, _SCHEMA)

    async def customer(self, email: str) -> Customer | None:
        """The customer with that address, however it is capitalised."""

        def query(connection: sqlite3.Connection) -> Customer | None:
            row = connection.execute(
                "SELECT email, name, tier FROM customers WHERE email = ?", (email,)
            ).fetchone()
            return None if row is None else Customer.model_validate(dict(row))

        return await self._file.read(query)

    async def order(self, order_id: str) -> ShopOrder | None:
        """One order, whoever's it is."""

        def query(connection: sqlite3.Connection) -> ShopOrder | None:
            row = connection.execute("SELECT * FROM orders WHERE order_id = ?", (order_id,)).fetchone()
            return None if row is None else _order_from(connection, row)

        return await self._file.read(query)

    async def orders_of(self, customer_email: str, *, limit: int) -> tuple[ShopOrder, ...]:
        """A customer's orders, the newest first."""

        def query(connection: sqlite3.Connection) -> tuple[ShopOrder, ...]:
            rows = connection.execute(
                "SELECT * FROM orders WHERE customer_email = ? "
                "ORDER BY placed_at DESC, order_id DESC LIMIT ?",
                (customer_email, limit),
            ).fetchall()
            return tuple(_order_from(connection, row) for row in rows)

        return await self._file.read(query)

    async def is_empty(self) -> bool:
        """Whether no order was ever stored."""
        return await self._file.read(_has_no_orders)

    async def fill(self, customers: Iterable[Customer], orders: Iterable[ShopOrder]) -> bool:
        """Store a whole shop at once.

        Returns:
            False, and nothing is changed, when the shop already has orders.
        """

        def change(connection: sqlite3.Connection) -> bool:
            if not _has_no_orders(connection):
                return False
            for customer in customers:
                _insert_customer(connection, customer)
            for order in orders:
                _insert_order(connection, order)
            return True

        return await self._file.write(change)


def _has_no_orders(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM orders LIMIT 1").fetchone() is None


def _order_from(connection: sqlite3.Connection, row: sqlite3.Row) -> ShopOrder:
    items = connection.execute(
        "SELECT title, quantity, unit_cents FROM order_items WHERE order_id = ? ORDER BY position",
        (row["order_id"],),
    ).fetchall()
    return ShopOrder(
        order_id=row["order_id"],
        customer_email=row["customer_email"],
        placed_at=datetime.fromisoformat(row["placed_at"]),
        status=row["status"],
        delivered_at=None if row["delivered_at"] is None else datetime.fromisoformat(row["delivered_at"]),
        paid_usd=usd_from_cents(row["paid_cents"]),
        charge_id=row["charge_id"],
        items=tuple(
            OrderItem(
                title=item["title"], quantity=item["quantity"], unit_usd=usd_from_cents(item["unit_cents"])
            )
            for item in items
        ),
    )


def _insert_customer(connection: sqlite3.Connection, customer: Customer) -> None:
    connection.execute(
        "INSERT INTO customers (email, name, tier) VALUES (?, ?, ?)",
        (customer.email, customer.name, customer.tier),
    )


def _insert_order(connection: sqlite3.Connection, order: ShopOrder) -> None:
    connection.execute(
        "INSERT INTO orders "
        "(order_id, customer_email, placed_at, status, delivered_at, paid_cents, charge_id) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            order.order_id,
            order.customer_email,
            order.placed_at.isoformat(),
            order.status,
            None if order.delivered_at is None else order.delivered_at.isoformat(),
            cents_from_usd(order.paid_usd),
            order.charge_id,
        ),
    )
    connection.executemany(
        "INSERT INTO order_items (order_id, position, title, quantity, unit_cents) VALUES (?, ?, ?, ?, ?)",
        [
            (order.order_id, position, item.title, item.quantity, cents_from_usd(item.unit_usd))
            for position, item in enumerate(order.items)
        ],
    )
