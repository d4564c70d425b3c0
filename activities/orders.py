"""The tools that look at orders: what was bought, what was paid, what is still refundable."""

from datetime import datetime, timedelta
from decimal import Decimal

from activities.money import UsdText
from activities.payments import Payments, refunded_total
from activities.shop import Email, OrderId, OrderItem, OrderStatus, ShopDatabase
from agentflow.activity.tool import tool
from agentflow.contracts.tools import ToolOptions
from agentflow.contracts.wire import Contract
from agentflow.errors import ToolError

_LIMIT = 20
"""How many orders ``find_orders`` answers at most."""


class Order(Contract):
    """An order and where its money is."""

    order_id: OrderId
    customer_email: Email
    """Whose order it is."""
    status: OrderStatus
    placed_at: datetime
    delivered_at: datetime | None
    items: tuple[OrderItem, ...]
    paid_usd: UsdText
    refunded_usd: UsdText
    """As payments says, this moment."""
    refundable_usd: UsdText
    """The most that a refund may still be."""


class OrderSummary(Contract):
    """An order in a list."""

    order_id: OrderId
    status: OrderStatus
    placed_at: datetime
    titles: tuple[str, ...]
    """What was ordered, without quantities and prices."""
    paid_usd: UsdText


class CustomerOrders(Contract):
    """A customer's latest orders."""

    customer_email: Email
    orders: tuple[OrderSummary, ...]
    """The newest first, 20 at most; empty when the address is unknown."""


class OrderTools:
    """What an agent may learn about orders."""

    def __init__(self, shop: ShopDatabase, payments: Payments) -> None:
        self._shop = shop
        self._payments = payments

    @tool(
        effect="read",
        scopes=("orders:read",),
        options=ToolOptions(start_to_close_timeout=timedelta(seconds=20)),
    )
    async def lookup_order(self, order_id: OrderId) -> Order:
        """Look up one order: whose it is, its items and status, what was paid and what can be refunded.

        Args:
            order_id: The order's number, such as "ORD-1001".
        """
        order = await self._shop.order(order_id)
        if order is None:
            raise ToolError(f"no order {order_id}")
        refunds = () if order.charge_id is None else await self._payments.refunds_of(order.charge_id)
        refunded = refunded_total(refunds)
        return Order(
            order_id=order.order_id,
            customer_email=order.customer_email,
            status=order.status,
            placed_at=order.placed_at,
            delivered_at=order.delivered_at,
            items=order.items,
            paid_usd=order.paid_usd,
            refunded_usd=refunded,
            # Payments is a system of its own: somebody may have refunded more than the shop was paid.
            refundable_usd=max(order.paid_usd - refunded, Decimal("0.00")),
        )

    @tool(
        effect="read",
        scopes=("orders:read",),
        options=ToolOptions(start_to_close_timeout=timedelta(seconds=10)),
    )
    async def find_orders(self, customer_email: Email) -> CustomerOrders:
        """List a customer's latest orders, the newest first. Use it when a ticket names no order.

        Args:
            customer_email: The address the customer has an account with.
        """
        orders = await self._shop.orders_of(customer_email, limit=_LIMIT)
        return CustomerOrders(
            customer_email=customer_email,
            orders=tuple(
                OrderSummary(
                    order_id=order.order_id,
                    status=order.status,
                    placed_at=order.placed_at,
                    titles=tuple(item.title for item in order.items),
                    paid_usd=order.paid_usd,
                )
                for order in orders
            ),
        )
