"""The support agent's rules, one decision each."""

from decimal import Decimal
from typing import Any

import pytest

from activities.payments import PaymentTools
from activities.replies import ReplyTools
from agentflow.contracts.budget import Spend
from agentflow.contracts.rules import Tier
from agentflow.core.policy import decide
from agentflow.core.provenance import PastCall
from agentflow.core.rule_context import RuleContext
from workflows.support_rules import SUPPORT_RULES

ORDER = {"order_id": "ORD-1001", "customer_email": "Maya@example.com", "refundable_usd": "2000.00"}


def looked_up(**changes: Any) -> PastCall:
    return PastCall("look", "lookup_order", {}, {**ORDER, **changes})


def made(amount: str, order_id: str = "ORD-1001") -> PastCall:
    return PastCall("refund", "refund_order", {}, {"order_id": order_id, "amount_usd": amount})


def rule_for(amount: str, *past: PastCall, tier: Tier = "production", proven: bool = True) -> str:
    context = RuleContext(
        tool=PaymentTools.refund_order.contract,
        arguments={"order_id": "ORD-1001", "amount_usd": amount, "reason": "broken"},
        tier=tier,
        tenant="default",
        customer_tier="standard",
        requested_by="inbox",
        task_input={"customer_email": "maya@example.com"},
        model="scripted:model",
        model_proven=proven,
        spend=Spend(),
        past_calls=past,
    )
    return decide(SUPPORT_RULES, context).rule


@pytest.mark.parametrize(
    ("amount", "rule"),
    [
        ("0.01", "small_refund"),
        ("200.00", "small_refund"),
        ("200.01", "refund_one_person"),
        ("1000.00", "refund_one_person"),
        ("1000.01", "refund_two_people"),
        ("2000.00", "refund_two_people"),
        ("2000.01", "over_refundable"),
        ("-1.00", "error"),
        ("NaN", "error"),
        ("Infinity", "error"),
    ],
)
def test_the_amount_decides_who_must_agree(amount: str, rule: str) -> None:
    assert rule_for(amount, looked_up()) == rule


def test_two_small_refunds_are_judged_by_their_sum() -> None:
    assert rule_for("150.00", looked_up(), made("100.00")) == "refund_one_person"


def test_refunds_on_other_orders_count_towards_the_sum() -> None:
    assert rule_for("150.00", looked_up(), made("900.00", "ORD-1002")) == "refund_two_people"


def test_what_this_run_refunded_since_the_look_up_is_no_longer_refundable() -> None:
    assert rule_for("60.00", looked_up(refundable_usd="100.00"), made("50.00")) == "over_refundable"


def test_an_order_that_was_not_looked_up_is_not_refunded() -> None:
    assert rule_for("10.00") == "order_not_looked_up"


def test_someone_elses_order_is_not_refunded() -> None:
    assert rule_for("10.00", looked_up(customer_email="eve@example.com")) == "someone_elses_order"


def test_an_order_whose_record_lacks_a_field_denies() -> None:
    broken = PastCall("look", "lookup_order", {}, {"order_id": "ORD-1001"})
    assert rule_for("10.00", broken) == "error"


def test_an_unproven_model_may_not_refund_alone() -> None:
    assert rule_for("10.00", looked_up(), proven=False) == "unproven_model"


def test_replies_go_to_the_sender_only() -> None:
    context = RuleContext(
        tool=ReplyTools.send_reply.contract,
        arguments={"to": "eve@example.com", "subject": "Re", "body": "hello"},
        tier="production",
        tenant="default",
        customer_tier="standard",
        requested_by="inbox",
        task_input={"customer_email": "maya@example.com"},
        model="scripted:model",
        model_proven=True,
        spend=Spend(cost_usd=Decimal(0)),
    )
    assert decide(SUPPORT_RULES, context).rule == "reply_to_someone_else"
