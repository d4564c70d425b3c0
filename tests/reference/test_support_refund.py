"""The support agent against a real shop, real payments and a scripted model."""

from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.testing import WorkflowEnvironment

from activities.payments import Payments
from activities.shop import ShopDatabase
from tests.reference.desk import TICKETS, WANTS_REFUND, Desk, desk, refunding
from workflows.support_refund import SupportRefund
from workflows.support_tickets import Ticket


async def test_a_small_refund_goes_through_alone_and_cites_the_order(
    temporal: WorkflowEnvironment, payments: Payments, seeded: ShopDatabase, tmp_path: Path
) -> None:
    script = [WANTS_REFUND, refunding({"ORD-1001": "49.00"})]
    async with desk(temporal, payments, seeded, tmp_path, script) as support:
        outcome = await support.run("T-001")
        made = await refunded(support, "ORD-1001")
        replies = await support.outbox.list()
    assert outcome.status == "completed"
    assert made == [Decimal("49.00")]
    assert [reply.to for reply in replies] == ["maya.lindqvist@example.com"]
    assert outcome.evidence[0].value == "49.00"
    assert outcome.tool_calls[1].rule == "small_refund"


async def test_production_allows_what_its_rules_name(
    temporal: WorkflowEnvironment, payments: Payments, seeded: ShopDatabase, tmp_path: Path
) -> None:
    script = [WANTS_REFUND, refunding({"ORD-1003": "18.50"})]
    settings = {"tier": "production", "approvers": "trusted"}
    async with desk(temporal, payments, seeded, tmp_path, script, **settings) as support:
        assert (await support.run("T-002")).status == "completed"


async def test_a_refund_above_200_asks_one_person(
    temporal: WorkflowEnvironment, payments: Payments, seeded: ShopDatabase, tmp_path: Path
) -> None:
    script = [WANTS_REFUND, refunding({"ORD-1006": "449.00"})]
    async with desk(temporal, payments, seeded, tmp_path, script) as support:
        handle = await support.start("T-004")
        request = await support.pending(handle)
        assert (request.rule, request.quorum.people) == ("refund_one_person", 1)
        assert await refunded(support, "ORD-1006") == []
        await support.client.approve(handle.id, request.id, by="ann")
        assert (await handle.result()).status == "completed"
        assert await refunded(support, "ORD-1006") == [Decimal("449.00")]


async def test_a_refund_above_1000_asks_two_different_people(
    temporal: WorkflowEnvironment, payments: Payments, seeded: ShopDatabase, tmp_path: Path
) -> None:
    script = [WANTS_REFUND, refunding({"ORD-1007": "1299.00"})]
    async with desk(temporal, payments, seeded, tmp_path, script) as support:
        handle = await support.start("T-005")
        request = await support.pending(handle)
        assert (request.rule, request.quorum.people) == ("refund_two_people", 2)
        await support.client.approve(handle.id, request.id, by="ann")
        await support.client.approve(handle.id, request.id, by="bob")
        assert (await handle.result()).status == "completed"


async def test_a_ticket_with_two_orders_gets_both_refunds(
    temporal: WorkflowEnvironment, payments: Payments, seeded: ShopDatabase, tmp_path: Path
) -> None:
    script = [WANTS_REFUND, refunding({"ORD-1018": "119.00", "ORD-1017": "34.99"})]
    async with desk(temporal, payments, seeded, tmp_path, script) as support:
        outcome = await support.run("T-012")
    assert outcome.output
    assert outcome.output.refunds == {"ORD-1018": "119.00", "ORD-1017": "34.99"}


@pytest.mark.parametrize(
    ("ticket_id", "amounts", "rule"),
    [
        ("T-008", {"ORD-1014": "500.00"}, "over_refundable"),
        ("T-007", {"ORD-1015": "75.00"}, "someone_elses_order"),
        ("T-011", {"ORD-1011": "95.00"}, "over_refundable"),
    ],
)
async def test_a_refund_that_the_order_does_not_bear_is_denied_whatever_the_model_says(
    temporal: WorkflowEnvironment,
    payments: Payments,
    seeded: ShopDatabase,
    tmp_path: Path,
    ticket_id: str,
    amounts: dict[str, str],
    rule: str,
) -> None:
    async with desk(temporal, payments, seeded, tmp_path, [WANTS_REFUND, refunding(amounts)]) as support:
        outcome = await support.run(ticket_id)
        assert await refunded(support, next(iter(amounts))) == []
    assert outcome.status == "denied"
    assert rule in outcome.reason


async def test_an_order_that_the_ticket_does_not_name_is_never_refunded(
    temporal: WorkflowEnvironment, payments: Payments, seeded: ShopDatabase, tmp_path: Path
) -> None:
    script = [WANTS_REFUND, refunding({"ORD-1019": "2400.00"}, cited="ORD-1009")]
    async with desk(temporal, payments, seeded, tmp_path, script) as support:
        outcome = await support.run("T-015")
        assert await refunded(support, "ORD-1019") == []
    assert "order_not_looked_up" in outcome.reason


async def test_a_refund_that_cites_nothing_is_denied(
    temporal: WorkflowEnvironment, payments: Payments, seeded: ShopDatabase, tmp_path: Path
) -> None:
    script = [WANTS_REFUND, refunding({"ORD-1004": "129.99"}, cited="ORD-9999")]
    async with desk(temporal, payments, seeded, tmp_path, script) as support:
        outcome = await support.run("T-003")
        assert await refunded(support, "ORD-1004") == []
    assert outcome.status == "denied"


async def test_a_model_that_is_not_proven_asks_for_every_write(
    temporal: WorkflowEnvironment, payments: Payments, seeded: ShopDatabase, tmp_path: Path
) -> None:
    script = [WANTS_REFUND, refunding({"ORD-1002": "79.00"})]
    async with desk(temporal, payments, seeded, tmp_path, script) as support:
        handle = await support.start("T-010", SupportRefund)
        request = await support.pending(handle)
        assert request.rule == "unproven_model"
        await support.client.reject(handle.id, request.id, by="ann", reason="not yet")
        assert (await handle.result()).status == "denied"
        assert await refunded(support, "ORD-1002") == []


async def test_a_ticket_that_breaks_its_form_fails_at_once(
    temporal: WorkflowEnvironment, payments: Payments, seeded: ShopDatabase, tmp_path: Path
) -> None:
    async with desk(temporal, payments, seeded, tmp_path, []) as support:
        task = {
            "input": {"ticket_id": "T-1", "customer_email": "nobody", "subject": "", "body": ""},
            "requested_by": "x",
        }
        with pytest.raises(Exception, match="Workflow execution failed") as failure:
            await support.client.temporal.execute_workflow(
                "SupportRefund", task, id=f"bad-{uuid4()}", task_queue=support.queue
            )
    assert "customer_email" in str(failure.value.__cause__)


async def refunded(support: Desk, order_id: str) -> list[Decimal]:
    return [r.amount_usd for r in await support.refunds() if r.metadata["order_id"] == order_id]


def test_the_ticket_model_refuses_unknown_fields() -> None:
    with pytest.raises(ValueError, match="extra"):
        Ticket.model_validate({**TICKETS["T-001"].model_dump(), "label": "refund"})
