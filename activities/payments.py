"""Payments, over Stripe's official client, and the tool that refunds an order."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Annotated

import stripe
from pydantic import Field

from activities.money import UsdText, cents_from_usd, usd_from_cents
from activities.shop import OrderId, ShopDatabase, ShopOrder
from agentflow.activity.context import ToolContext
from agentflow.activity.tool import DidNotHappen, Happened, tool
from agentflow.contracts.tools import RetryOptions, ToolOptions
from agentflow.contracts.wire import Contract, Usd
from agentflow.errors import EffectUnknownError, ToolError

_PAGE = 100
"""The largest page that Stripe's lists give."""

KEY_METADATA = "agentflow_key"
"""Metadata field that says which tool call made a refund."""

WORKFLOW_METADATA = "agentflow_workflow_id"
"""Metadata field that says which run made a refund: from the payment back to its history."""

_NOT_PAID_BACK = frozenset({"failed", "canceled"})
"""Refund states in which the money stayed with the shop."""


class PaymentRefund(Contract):
    """A refund as payments knows it."""

    refund_id: str
    charge_id: str
    amount_usd: Usd
    status: str
    """Stripe's word: ``pending``, ``requires_action``, ``succeeded``, ``failed`` or ``canceled``."""
    metadata: dict[str, str]


class SavedCard(Contract):
    """A card that payments keeps for a customer."""

    customer_id: str
    card_id: str


class Payments:
    """A payment account. Closes its connections on ``close()``; belongs to one event loop.

    What payments refuses for good (a declined card, an invalid request) is a ``ToolError``. What may
    work later (connection, 429, 5xx) and what an operator must mend (401, 403) is raised as Stripe's
    own error, for Temporal to retry; the client itself never does.
    """

    def __init__(self, api_key: str, base_url: str, *, timeout: timedelta = timedelta(seconds=8)) -> None:
        self._http = stripe.HTTPXClient(timeout=timeout.total_seconds())
        self._api = stripe.StripeClient(
            api_key,
            base_addresses={"api": base_url.rstrip("/")},
            max_network_retries=0,
            http_client=self._http,
        ).v1

    async def close(self) -> None:
        """Close the connections to payments."""
        await self._http.close_async()

    async def create_customer(self, email: str, name: str) -> SavedCard:
        """Register a customer, with Stripe's test card that always pays."""
        with _refusals():
            customer = await self._api.customers.create_async({"email": email, "name": name})
            card = await self._api.payment_methods.attach_async("pm_card_visa", {"customer": customer.id})
        return SavedCard(customer_id=customer.id, card_id=card.id)

    async def create_charge(self, card: SavedCard, amount_usd: Decimal, metadata: Mapping[str, str]) -> str:
        """Charge a card; answers the charge's id."""
        with _refusals():
            payment = await self._api.payment_intents.create_async(
                {
                    "amount": cents_from_usd(amount_usd),
                    "currency": "usd",
                    "customer": card.customer_id,
                    "payment_method": card.card_id,
                    "confirm": True,
                    # Nobody is there to be sent to a bank's page, so no return_url is asked for.
                    "off_session": True,
                    "metadata": dict(metadata),
                    "expand": ["latest_charge"],
                }
            )
        charge = payment.latest_charge
        if not isinstance(charge, stripe.Charge):
            raise ToolError(f"payments made no charge: the payment is {payment.status}")
        return charge.id

    async def refunds_of(self, charge_id: str) -> tuple[PaymentRefund, ...]:
        """Every refund of one charge, the newest first."""
        return await self._refunds({"charge": charge_id, "limit": _PAGE})

    async def list_refunds(self) -> tuple[PaymentRefund, ...]:
        """Every refund of the account, the newest first."""
        return await self._refunds({"limit": _PAGE})

    async def create_refund(
        self, charge_id: str, amount_usd: Decimal, *, key: str, metadata: Mapping[str, str]
    ) -> PaymentRefund:
        """Refund a part of a charge, or all of it.

        Args:
            charge_id: The charge to refund.
            amount_usd: How much, in dollars.
            key: Sent as ``Idempotency-Key``. Stripe makes one refund for one key within 24 hours.
            metadata: Kept with the refund.
        """
        with _refusals():
            refund = await self._api.refunds.create_async(
                {"charge": charge_id, "amount": cents_from_usd(amount_usd), "metadata": dict(metadata)},
                {"idempotency_key": key},
            )
        return _refund_from(refund)

    async def _refunds(self, params: "stripe.params.RefundListParams") -> tuple[PaymentRefund, ...]:
        with _refusals():
            first_page = await self._api.refunds.list_async(params)
            return tuple([_refund_from(refund) async for refund in first_page.auto_paging_iter()])


class Refund(Contract):
    """Money on its way back to the customer."""

    refund_id: str
    order_id: OrderId
    amount_usd: UsdText
    status: str


_REFUND_OPTIONS = ToolOptions(
    # Stripe's own client waits 80 seconds for an answer: a request may take that long to have its effect.
    max_effect_delay=timedelta(seconds=80),
    retry=RetryOptions(max_attempts=6),
)


class PaymentTools:
    """What an agent may do with payments."""

    def __init__(self, shop: ShopDatabase, payments: Payments) -> None:
        self._shop = shop
        self._payments = payments

    @tool(
        effect="irreversible",
        scopes=("payments:refund",),
        sinks=("order_id", "amount_usd"),
        recovery="probe",
        options=_REFUND_OPTIONS,
        sentence="Refund ${amount_usd} of order {order_id} to the card that paid for it",
    )
    async def refund_order(
        self,
        context: ToolContext,
        order_id: OrderId,
        amount_usd: UsdText,
        reason: Annotated[str, Field(min_length=1, max_length=500)],
    ) -> Refund:
        """Refund an order, wholly or in part, to the card that paid for it.

        Can't be undone. Refused when the amount is more than what is still refundable.

        Args:
            context: Names the call; its key makes the refund happen once.
            order_id: The order to refund.
            amount_usd: Dollars with two decimals, such as "49.00".
            reason: Why, in one sentence, for the shop's books.
        """
        if amount_usd <= 0:
            raise ToolError("amount_usd must be more than 0.00")
        order, charge_id = await self._charged_order(order_id)
        _check_refundable(order, await self._payments.refunds_of(charge_id), amount_usd)
        made = await self._payments.create_refund(
            charge_id,
            amount_usd,
            key=context.idempotency_key,
            metadata={
                KEY_METADATA: context.idempotency_key,
                WORKFLOW_METADATA: context.workflow_id,
                "order_id": order_id,
                "reason": reason,
            },
        )
        return _told(made, order_id)

    @refund_order.probe
    async def find_refund(
        self,
        context: ToolContext,
        order_id: OrderId,
        amount_usd: UsdText,
        reason: Annotated[str, Field(min_length=1, max_length=500)],
    ) -> Happened[Refund] | DidNotHappen:
        """The refund that an earlier attempt made, found by the key it left in the metadata.

        A payment system that honours no ``Idempotency-Key``, or has forgotten it, is safe that way too.
        """
        _, charge_id = await self._charged_order(order_id)
        refunds = await self._payments.refunds_of(charge_id)
        ours = [refund for refund in refunds if refund.metadata.get(KEY_METADATA) == context.idempotency_key]
        if not ours:
            return DidNotHappen()
        if len(ours) > 1 or ours[0].amount_usd != amount_usd:
            found = ", ".join(f"{refund.refund_id} of ${refund.amount_usd}" for refund in ours)
            raise EffectUnknownError(f"this call should have refunded ${amount_usd} once; there is {found}")
        return Happened(_told(ours[0], order_id))

    async def _charged_order(self, order_id: OrderId) -> tuple[ShopOrder, str]:
        order = await self._shop.order(order_id)
        if order is None:
            raise ToolError(f"no order {order_id}")
        if order.charge_id is None:
            raise ToolError(f"{order_id} was never charged, so there is nothing to refund")
        return order, order.charge_id


def _told(made: PaymentRefund, order_id: OrderId) -> Refund:
    return Refund(refund_id=made.refund_id, order_id=order_id, amount_usd=made.amount_usd, status=made.status)


def refunded_total(refunds: tuple[PaymentRefund, ...]) -> Decimal:
    """Dollars that these refunds gave back; failed and cancelled ones gave nothing."""
    return sum((r.amount_usd for r in refunds if r.status not in _NOT_PAID_BACK), Decimal("0.00"))


def _check_refundable(order: ShopOrder, refunds: tuple[PaymentRefund, ...], amount_usd: Decimal) -> None:
    refunded = refunded_total(refunds)
    refundable = order.paid_usd - refunded
    if amount_usd > refundable:
        raise ToolError(
            f"${amount_usd} is more than what is refundable on {order.order_id}: ${refundable} "
            f"(paid ${order.paid_usd}, already refunded ${refunded})"
        )


@contextmanager
def _refusals() -> Generator[None]:
    try:
        yield
    except (stripe.CardError, stripe.InvalidRequestError) as error:
        raise ToolError(f"payments refused: {error.user_message or error.code}") from error


def _refund_from(refund: stripe.Refund) -> PaymentRefund:
    charge = refund.charge
    return PaymentRefund(
        refund_id=refund.id,
        charge_id=charge.id if isinstance(charge, stripe.Charge) else charge or "",
        amount_usd=usd_from_cents(refund.amount),
        status=refund.status or "pending",
        metadata={} if refund.metadata is None else refund.metadata.to_dict(),
    )
