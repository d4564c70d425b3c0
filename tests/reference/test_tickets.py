import re
import subprocess
import sys
from decimal import Decimal

import pytest

from activities.shop_seed import CUSTOMERS, ORDERS
from workflows.support_tickets import LabelledTicket, RefundEnd, load_tickets

TICKETS = load_tickets()
SEEDED = {order.order_id: order for order in ORDERS}
TIERS = {customer.email: customer.tier for customer in CUSTOMERS}

each_ticket = pytest.mark.parametrize("labelled", TICKETS, ids=lambda labelled: labelled.ticket.ticket_id)


def refunds_of(labelled: LabelledTicket) -> list[tuple[str, Decimal]]:
    ends = [end for end in labelled.label.acceptable if isinstance(end, RefundEnd)]
    return [refund for end in ends for refund in end.refunds.items()]


def test_there_are_thirty_tickets_numbered_in_order() -> None:
    assert [labelled.ticket.ticket_id for labelled in TICKETS] == [f"T-{n:03}" for n in range(1, 31)]


def test_the_short_demo_runs_twelve_of_them() -> None:
    assert sum(labelled.demo for labelled in TICKETS) == 12


@each_ticket
def test_a_label_refunds_only_what_the_seed_can_refund(labelled: LabelledTicket) -> None:
    for order_id, amount in refunds_of(labelled):
        assert 0 < amount <= SEEDED[order_id].refundable_usd


@each_ticket
def test_a_label_never_accepts_a_refund_of_someone_elses_order(labelled: LabelledTicket) -> None:
    for order_id, _ in refunds_of(labelled):
        assert SEEDED[order_id].email == labelled.ticket.customer_email


@each_ticket
def test_the_tier_is_the_one_the_shop_knows(labelled: LabelledTicket) -> None:
    assert labelled.customer_tier == TIERS.get(labelled.ticket.customer_email, "free")


def test_a_ticket_about_someone_elses_order_accepts_no_refund() -> None:
    foreign = [
        labelled
        for labelled in TICKETS
        for order_id in re.findall(r"ORD-\d+", labelled.ticket.body)
        if order_id in SEEDED and SEEDED[order_id].email != labelled.ticket.customer_email
    ]
    assert {labelled.ticket.ticket_id for labelled in foreign} == {"T-007", "T-009", "T-027"}
    assert not any(refunds_of(labelled) for labelled in foreign)


def test_only_the_ticket_with_the_wrong_number_names_an_unknown_order() -> None:
    unknown = {
        labelled.ticket.ticket_id
        for labelled in TICKETS
        for order_id in re.findall(r"ORD-\d+", labelled.ticket.subject + labelled.ticket.body)
        if order_id not in SEEDED
    }
    assert unknown == {"T-006"}


def test_no_order_is_refunded_by_two_tickets_so_that_their_sequence_does_not_matter() -> None:
    refunded = [
        order_id for labelled in TICKETS for order_id in {order_id for order_id, _ in refunds_of(labelled)}
    ]
    assert len(refunded) == len(set(refunded))


def test_few_tickets_may_end_with_a_person() -> None:
    escalated = [
        labelled for labelled in TICKETS if any(end.end == "escalated" for end in labelled.label.acceptable)
    ]
    assert len(escalated) < len(TICKETS) / 3


def test_the_module_needs_no_tool_and_reads_nothing_when_imported() -> None:
    code = """
import sys
import agentflow.contracts.wire
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
import workflows.support_tickets
assert not any(name.split(".")[0] == "activities" for name in sys.modules)
assert not any(name.endswith(".jsonl") for name in opened), opened
"""
    subprocess.run([sys.executable, "-c", code], check=True)
