"""What the support agent may do. Every amount is judged by what the run refunds in all, on all orders.

``refund_order`` is judged by the order as ``lookup_order`` recorded it in this run, never by what the
model says of it.
"""

from decimal import Decimal

from agentflow import RuleContext, allow, ask, deny
from agentflow.contracts.rules import Tier
from agentflow.contracts.wire import Json
from agentflow.core.rule_context import to_amount

ALONE_UP_TO_USD = Decimal(200)
"""The agent refunds this much on its own, if its model is proven."""
ONE_PERSON_UP_TO_USD = Decimal(1000)
"""One person may allow this much; above it two different people must."""

EVERYWHERE: tuple[Tier, ...] = ("dev", "staging", "production")


def looked_up(context: RuleContext) -> dict[str, Json] | None:
    """The order that a refund names, as it was last looked up in this run."""
    wanted = context.arguments["order_id"]
    found = [order for order in context.outputs("lookup_order") if order["order_id"] == wanted]
    return found[-1] if found else None


def refunded_in_run(context: RuleContext, order_id: str | None = None) -> Decimal:
    """Dollars this run has refunded already, on one order or on all."""
    made = context.outputs("refund_order")
    return sum((to_amount(r["amount_usd"]) for r in made if order_id in (None, r["order_id"])), Decimal(0))


def is_unknown_order(context: RuleContext) -> bool:
    """Nobody may refund an order that this run has not looked at."""
    return looked_up(context) is None


def is_someone_elses_order(context: RuleContext) -> bool:
    """The order belongs to another customer than the ticket's sender."""
    order = looked_up(context)
    sender = str(context.task_input["customer_email"])
    return order is not None and str(order["customer_email"]).casefold() != sender.casefold()


def is_over_refundable(context: RuleContext) -> bool:
    """More than was paid and not yet refunded, with what this run refunded since the look-up."""
    order = looked_up(context)
    if order is None:
        return False
    left = to_amount(order["refundable_usd"]) - refunded_in_run(context, str(order["order_id"]))
    return context.amount("amount_usd") > left


def total(context: RuleContext) -> Decimal:
    """What the run will have refunded with this call: two small refunds are one larger one."""
    return refunded_in_run(context) + context.amount("amount_usd")


def is_small(context: RuleContext) -> bool:
    """Small enough for the agent alone."""
    return total(context) <= ALONE_UP_TO_USD


def needs_one_person(context: RuleContext) -> bool:
    """Too much for the agent, not too much for one person."""
    return ALONE_UP_TO_USD < total(context) <= ONE_PERSON_UP_TO_USD


def needs_two_people(context: RuleContext) -> bool:
    """Too much for one person."""
    return total(context) > ONE_PERSON_UP_TO_USD


def is_to_someone_else(context: RuleContext) -> bool:
    """A reply may only go to the ticket's sender."""
    sender = str(context.task_input["customer_email"])
    return str(context.arguments["to"]).casefold() != sender.casefold()


_REFUND = ("refund_order",)
_REPLY = ("send_reply",)

SUPPORT_RULES = (
    deny("order_not_looked_up", reason="the order was not looked up", tools=_REFUND, when=is_unknown_order),
    deny(
        "someone_elses_order",
        reason="the order belongs to another customer",
        tools=_REFUND,
        when=is_someone_elses_order,
    ),
    deny(
        "over_refundable",
        reason="the amount is more than what was paid and not yet refunded",
        tools=_REFUND,
        when=is_over_refundable,
    ),
    allow(
        "small_refund",
        reason=f"refunds up to ${ALONE_UP_TO_USD} on the customer's own order need nobody",
        tools=_REFUND,
        tiers=EVERYWHERE,
        when=is_small,
    ),
    ask(
        "refund_one_person",
        reason=f"refunds above ${ALONE_UP_TO_USD} need a person",
        tools=_REFUND,
        tiers=EVERYWHERE,
        when=needs_one_person,
    ),
    ask(
        "refund_two_people",
        reason=f"refunds above ${ONE_PERSON_UP_TO_USD} need two different people",
        tools=_REFUND,
        tiers=EVERYWHERE,
        when=needs_two_people,
        people=2,
    ),
    deny(
        "reply_to_someone_else",
        reason="replies go to the ticket's sender only",
        tools=_REPLY,
        when=is_to_someone_else,
    ),
    allow("reply", reason="a reply to the ticket's sender needs nobody", tools=_REPLY, tiers=EVERYWHERE),
)
