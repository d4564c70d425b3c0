"""What an operator would say of tau-bench's tools: sinks on every argument of consequence, trusted look-ups.

The look-ups read the shop's and the airline's own records: customers, orders, products, flights.
"""

from collections.abc import Mapping, Sequence

from agentflow import Rule, allow, sinks_from_trusted_input
from agentflow.contracts.tools import Sink, ToolContract
from agentflow.core.rules import EVERY_TIER
from benchmarks.customer_service.tau import Tau

_ADDRESS = ("address1", "address2", "city", "state", "country", "zip")

WRITES: Mapping[str, Sequence[str | Sink]] = {
    # retail
    "cancel_pending_order": ("order_id",),
    "exchange_delivered_order_items": ("order_id", "item_ids", "new_item_ids", "payment_method_id"),
    "modify_pending_order_address": ("order_id", *_ADDRESS),
    "modify_pending_order_items": ("order_id", "item_ids", "new_item_ids", "payment_method_id"),
    "modify_pending_order_payment": ("order_id", "payment_method_id"),
    "modify_user_address": ("user_id", *_ADDRESS),
    "return_delivered_order_items": ("order_id", "item_ids", "payment_method_id"),
    # airline
    "book_reservation": (
        "user_id",
        "origin",
        "destination",
        "flights",
        "passengers",
        "payment_methods",
        "total_baggages",
        "nonfree_baggages",
    ),
    "cancel_reservation": ("reservation_id",),
    "send_certificate": ("user_id", "amount"),
    "update_reservation_baggages": ("reservation_id", "total_baggages", "nonfree_baggages", "payment_id"),
    "update_reservation_flights": ("reservation_id", "flights", "payment_id"),
    "update_reservation_passengers": ("reservation_id", "passengers"),
}
"""The tools that write, each with its sinks. What is one of a few words of the contract (a cabin, a reason)
says nothing of where or how much."""

UNTRUSTED = ("calculate", "think", "transfer_to_human_agents")
"""Reads whose word is not taken: the model's own arguments come back."""

RULES: Sequence[Rule] = (
    allow("what_was_asked_for", reason="writes that the customer asked for", tiers=EVERY_TIER),
    sinks_from_trusted_input(),
)


def contracts_of(tau: Tau) -> dict[str, ToolContract]:
    """The contracts of a domain's tools."""
    return {name: _contract(tau, name) for name in tau.functions}


def _contract(tau: Tau, name: str) -> ToolContract:
    writes = name in WRITES
    return ToolContract(
        name=name,
        description=tau.description(name),
        input_schema=tau.schema(name),
        output_schema={},
        effect="write" if writes else "read",
        sinks=tuple(Sink.of(sink) for sink in WRITES[name]) if writes else None,
        trusted_output=not writes and name not in UNTRUSTED,
    )
