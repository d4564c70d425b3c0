"""The refund tools of the chaos run: one outside call under each recovery, one in a thread, and a look."""

import time
from http import HTTPStatus

import httpx
import stripe
from temporalio import activity

from activities.money import UsdText, cents_from_usd
from activities.payments import KEY_METADATA, WORKFLOW_METADATA, PaymentRefund, Payments, Refund
from activities.shop import OrderId, ShopDatabase
from agentflow import (
    DidNotHappen,
    EffectUnknownError,
    Happened,
    ToolContext,
    ToolError,
    ToolUnavailableError,
    run_blocking,
    tool,
)
from benchmarks.chaos.timing import BLOCKING_OPTIONS, CLIENT_TIMEOUT, OUTLIVING, REFUND_OPTIONS

PROBED, ASKED, KEYED, BLOCKING = "refund_probed", "refund_asked", "refund_keyed", "refund_blocking"
REFUNDS = (PROBED, ASKED, KEYED, BLOCKING)
TOOLS = (PROBED, ASKED)
"""Those that workers die in at every fault point."""

ORDER_METADATA, TOOL_METADATA = "order_id", "tool"


class RefundTools:
    """One outside call under three recoveries."""

    def __init__(self, shop: ShopDatabase, payments: Payments, payments_url: str, api_key: str) -> None:
        self._shop = shop
        self._payments = payments
        self._url = payments_url
        self._api_key = api_key

    @tool(effect="read")
    async def look_at_order(self, context: ToolContext, order_id: OrderId, turn: int) -> str:
        """Look at an order."""
        order = await self._shop.order(order_id)
        return f"{order_id} is {order.status if order else 'unknown'}, look {turn}"

    @tool(effect="irreversible", recovery="probe", options=REFUND_OPTIONS)
    async def refund_probed(self, context: ToolContext, order_id: OrderId, amount_usd: UsdText) -> Refund:
        """Refund an order in part."""
        return await self._refund(context, PROBED, order_id, amount_usd)

    @refund_probed.probe
    async def find_refund(
        self, context: ToolContext, order_id: OrderId, amount_usd: UsdText
    ) -> Happened[Refund] | DidNotHappen:
        """The refund with this call's key, if payments has it."""
        return await self._found(context, order_id)

    @tool(effect="irreversible", recovery="ask", options=REFUND_OPTIONS)
    async def refund_asked(self, context: ToolContext, order_id: OrderId, amount_usd: UsdText) -> Refund:
        """Refund an order in part, at a payment system that can't be asked afterwards."""
        return await self._refund(context, ASKED, order_id, amount_usd)

    @tool(effect="irreversible", recovery="key", options=REFUND_OPTIONS)
    async def refund_keyed(self, context: ToolContext, order_id: OrderId, amount_usd: UsdText) -> Refund:
        """Refund an order in part, at a payment system that honours idempotency keys."""
        return await self._refund(context, KEYED, order_id, amount_usd)

    @tool(effect="irreversible", recovery="probe", options=BLOCKING_OPTIONS)
    async def refund_blocking(self, context: ToolContext, order_id: OrderId, amount_usd: UsdText) -> Refund:
        """Refund an order in part, by a client that blocks, and dawdles the first time."""
        wait = OUTLIVING.total_seconds() if activity.info().attempt == 1 else 0.0
        charge_id = await self._charge(order_id)
        form = {"charge": charge_id, "amount": str(cents_from_usd(amount_usd))}
        form |= {f"metadata[{name}]": value for name, value in _metadata(context, BLOCKING, order_id).items()}

        def pay() -> Refund:
            time.sleep(wait)
            headers = {"Authorization": f"Bearer {self._api_key}", "Idempotency-Key": context.idempotency_key}
            answer = httpx.post(
                f"{self._url}/v1/refunds",
                data=form,
                headers=headers,
                timeout=CLIENT_TIMEOUT.total_seconds(),
            )
            answer.raise_for_status()
            made = answer.json()
            return Refund(
                refund_id=made["id"], order_id=order_id, amount_usd=amount_usd, status=made["status"]
            )

        return await run_blocking(pay)

    @refund_blocking.probe
    async def find_blocking(
        self, context: ToolContext, order_id: OrderId, amount_usd: UsdText
    ) -> Happened[Refund] | DidNotHappen:
        """The refund with this call's key, if payments has it."""
        return await self._found(context, order_id)

    async def _found(self, context: ToolContext, order_id: OrderId) -> Happened[Refund] | DidNotHappen:
        made = await refunds_with(self._payments, await self._charge(order_id), context.idempotency_key)
        if len(made) > 1:
            raise EffectUnknownError(f"{len(made)} refunds have the key of this call")
        return Happened(told(made[0], order_id)) if made else DidNotHappen()

    async def _refund(
        self, context: ToolContext, name: str, order_id: OrderId, amount_usd: UsdText
    ) -> Refund:
        charge_id = await self._charge(order_id)
        try:
            made = await self._payments.create_refund(
                charge_id,
                amount_usd,
                key=context.idempotency_key,
                metadata=_metadata(context, name, order_id),
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


def _metadata(context: ToolContext, name: str, order_id: OrderId) -> dict[str, str]:
    return {
        KEY_METADATA: context.idempotency_key,
        WORKFLOW_METADATA: context.workflow_id,
        ORDER_METADATA: order_id,
        TOOL_METADATA: name,
    }


async def refunds_with(payments: Payments, charge_id: str, key: str) -> list[PaymentRefund]:
    """The refunds of a charge that one tool call made."""
    return [made for made in await payments.refunds_of(charge_id) if made.metadata.get(KEY_METADATA) == key]


def told(made: PaymentRefund, order_id: OrderId) -> Refund:
    """A refund as the tools answer it."""
    return Refund(refund_id=made.refund_id, order_id=order_id, amount_usd=made.amount_usd, status=made.status)
