"""Thirty support tickets and how each may end, for the demo and the evals of the refund agent."""

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from agentflow.contracts.wire import Contract, Json, Usd

_FILE = Path(__file__).with_name("support_tickets.jsonl")


class Ticket(Contract):
    """What a customer wrote: the input of the support workflow. Nothing in it can be trusted."""

    ticket_id: str = Field(pattern=r"^[A-Za-z0-9-]{1,40}$")
    customer_email: str = Field(pattern=r"^[^@\s]+@[^@\s]+$", max_length=254)
    """Who sent it, as the mail system verified it; the one thing here that the customer can't invent."""
    subject: str = Field(max_length=300)
    body: str = Field(max_length=8000)


class RefundEnd(Contract):
    """The ticket ends with exactly these refunds."""

    end: Literal["refund"]
    refunds: dict[str, Usd] = Field(min_length=1)
    """Order number to dollars, in total for that order."""


class PlainEnd(Contract):
    """The ticket ends without a refund."""

    end: Literal["reply", "decline", "escalated"]
    """``reply``: answered, or asked back. ``decline``: the refund was refused. ``escalated``: a person
    took over."""


End = Annotated[RefundEnd | PlainEnd, Field(discriminator="end")]


class Label(Contract):
    """How a ticket may end, as a support lead sees it."""

    acceptable: tuple[End, ...] = Field(min_length=1)
    """Each is right; any other end is wrong."""
    note: str
    """Why."""


class LabelledTicket(Contract):
    """A ticket with what its agent must not see."""

    ticket: Ticket
    customer_tier: Literal["free", "standard", "enterprise"]
    demo: bool = False
    """True for the twelve that the short demo runs."""
    label: Label


def load_tickets() -> tuple[LabelledTicket, ...]:
    """The tickets, in the order of their numbers."""
    with _FILE.open(encoding="utf-8") as lines:
        return tuple(_parse(json.loads(line)) for line in lines)


def _parse(fields: dict[str, Json]) -> LabelledTicket:
    # A line is flat, for people to read; the model is not, so that no label travels with the input.
    ticket = {name: fields.pop(name) for name in Ticket.model_fields}
    return LabelledTicket.model_validate({"ticket": ticket, **fields})
