"""What the model answers about a ticket, and what becomes of it.

Apart from the workflow, which passes this module through: a run would make these classes anew, for 20 ms.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from agentflow.contracts.wire import Contract

OrderNumber = Annotated[str, Field(pattern=r"^ORD-[0-9]{4,8}$")]
Amount = Annotated[str, Field(pattern=r"^[0-9]{1,6}\.[0-9]{2}$")]
OrderField = Literal["status", "customer_email", "items", "paid_usd", "refunded_usd", "refundable_usd"]


class Triage(Contract):
    """What a ticket is about."""

    wants: Literal["refund", "answer", "other"]


class ProposedRefund(Contract):
    """Money to give back."""

    order_id: OrderNumber
    amount_usd: Amount


class Reason(Contract):
    """Why, resting on a field of an order that was looked up."""

    order_id: OrderNumber
    field: OrderField
    text: str = Field(max_length=100)


class Proposal(Contract):
    """What the model proposes to do."""

    reasons: list[Reason] = Field(max_length=2)
    action: Literal["refund", "reply", "decline"]
    refunds: list[ProposedRefund] = Field(max_length=2)
    """One for each order; empty unless the action is to refund."""
    reply: str = Field(min_length=20, max_length=240)
    """The text to the customer, in the customer's language."""

    @field_validator("refunds")
    @classmethod
    def _one_for_each_order(cls, refunds: list[ProposedRefund]) -> list[ProposedRefund]:
        # Small models say things twice. The same refund again is no second refund; another amount on the
        # same order is a contradiction.
        once = list(dict.fromkeys(refunds))
        if len({refund.order_id for refund in once}) < len(once):
            raise ValueError("give one refund for each order")
        return once

    @model_validator(mode="after")
    def _action_fits(self) -> Self:
        if (self.action == "refund") != bool(self.refunds):
            raise ValueError("give refunds if, and only if, the action is refund")
        return self


class SupportResult(Contract):
    """What became of a ticket."""

    action: Literal["refund", "reply", "decline"]
    refunds: dict[str, str] = Field(default_factory=dict[str, str])
    """Order number to dollars refunded."""
    reply_id: str | None = None
    """``None`` when a person kept the reply back after the refund was made."""
    reasons: tuple[Reason, ...] = ()
    """Each cites a field that is in the outcome's evidence."""
