"""The two refund tools of the chaos run: one that can ask payments what happened, one that can't."""

from http import HTTPStatus

import stripe

from activities.money import UsdText
from activities.payments import KEY_METADATA, WORKFLOW_METADATA, PaymentRefund, Payments, Refund
from activities.shop import OrderId, ShopDatabase
from agentflow import (
    DidNotHappen,
    EffectUnknownError,
    Happened,
    ToolContext,
    ToolError,
    ToolUnavailableError,
    tool,
)
from benchmarks.chaos.timing import REFUND_OPTIONS

PROBED, ASKED = "refund_probed", "refund_asked"
TOOLS = (PROBED, ASKED)


class RefundTools:
    """One outside call under two recoveries."""

    def __init__(self, shop: ShopDatabase, payments: Payments) -> None:
        self._shop = shop
        self._payments = payments

    @tool(effect="irreversible", recovery="probe", options=REFUND_OPTIONS)
    async def refund_probed(self, context: ToolContext, order_id: OrderId, amount_usd: UsdText) -> Refund:
        """Refund an order in part."""
        return await self._refund(context, order_id, amount_usd)

    @refund_probed.probe
    async def find_refund(
        self, context: ToolContext, order_id: OrderId, amount_usd: UsdText
    ) -> Happened[Refund] | DidNotHappen:
        """The refund with this call's key, if payments has it."""
        made = await refunds_with(self._payments, await self._charge(order_id), context.idempotency_key)
        if len(made) > 1:
            raise EffectUnknownError(f"{len(made)} refunds have the key of this call")
        return Happened(told(made[0], order_id)) if made else DidNotHappen()

    @tool(effect="irreversible", recovery="ask", options=REFUND_OPTIONS)
    async def refund_asked(self, context: ToolContext, order_id: OrderId, amount_usd: UsdText) -> Refund:
        """Refund an order in part, at a payment system that can't be asked afterwards."""
        return await self._refund(context, order_id, amount_usd)

    async def _refund(self, context: ToolContext, order_id: OrderId, amount_usd: UsdText) -> Refund:
        metadata = {
            KEY_METADATA: context.idempotency_key,
            WORKFLOW_METADATA: context.workflow_id,
            "order_id": order_id,
        }
        charge_id = await self._charge(order_id)
        try:
            made = await self._payments.create_refund(
                charge_id, amount_usd, key=context.idempotency_key, metadata=metadata
            )
        except stripe.APIError as error:
            if error.http_status == HTTPStatus.SERVICE_UNAVAILABLE:
                # Here, and not at every payment system, it says that the request was not even looked at.
                raise ToolUnavailableError("payments take no requests now") from error
            raise
        return told(made, order_id)

    async def _charge(self, order_id: OrderId) -> str:
        order = await self._shop.order(order_id)
        if order is None or order.charge_id is None:
            raise ToolError(f"there is nothing to refund on {order_id}")
        return order.charge_id


async def refunds_with(payments: Payments, charge_id: str, key: str) -> list[PaymentRefund]:
    """The refunds of a charge that one tool call made."""
    return [made for made in await payments.refunds_of(charge_id) if made.metadata.get(KEY_METADATA) == key]


def told(made: PaymentRefund, order_id: OrderId) -> Refund:
    """A refund as the tools answer it."""
    return Refund(refund_id=made.refund_id, order_id=order_id, amount_usd=made.amount_usd, status=made.status)
