"""The agents of the chaos run: their model asks for one refund, and says whether it was made."""

import json
from datetime import timedelta
from typing import Literal

from temporalio import workflow

from agentflow import AgentOutcome, AgentTask, AgentWorkflow, Budget, ModelOptions, Release, allow
from agentflow.contracts.messages import AssistantMessage, ToolMessage, UserMessage
from agentflow.contracts.model import ModelCall
from agentflow.contracts.wire import Contract
from agentflow.testing import answer, call

with workflow.unsafe.imports_passed_through():
    from activities.money import UsdText
    from activities.shop import OrderId
    from benchmarks.chaos.timing import HEARTBEAT_TIMEOUT, QUICKLY
    from benchmarks.chaos.tools import RefundTools

MAX_TRIES = 3
"""Calls that the model makes before it takes a refund for impossible."""

LOOK = "look_at_order"


class RefundTask(Contract):
    """What is to be refunded, and with which of the tools."""

    tool: Literal["refund_probed", "refund_asked", "refund_keyed", "refund_blocking"]
    order_id: OrderId
    amount_usd: UsdText
    looks: int = 0
    """How often the model looks at the order before the refund, and again after it: long runs."""


class RefundReport(Contract):
    """What the run says of it."""

    refunded: bool


class _RefundAgent(AgentWorkflow[RefundTask, RefundReport], abstract=True):
    """Makes one refund."""

    tools = (
        RefundTools.refund_probed,
        RefundTools.refund_asked,
        RefundTools.refund_keyed,
        RefundTools.refund_blocking,
        RefundTools.look_at_order,
    )
    rules = (allow("refunds", reason="it is what this agent is for"),)
    budget = Budget(model_calls=200)
    model_options = ModelOptions(
        start_to_close_timeout=timedelta(seconds=10), heartbeat_timeout=HEARTBEAT_TIMEOUT, retry=QUICKLY
    )
    release = Release(version="1", proven_models=("scripted:model",))
    escalation_timeout = timedelta(hours=1)


@workflow.defn
class RefundDesk(_RefundAgent):
    """Makes one refund in one execution."""

    @workflow.run
    async def run(self, task: AgentTask[RefundTask]) -> AgentOutcome[RefundReport]:
        """Start with a refund to make, end with whether it was made."""
        return await self.run_agent(task)


@workflow.defn
class LongRefundDesk(_RefundAgent):
    """Makes one refund, and continues as new as often as it may."""

    max_history_bytes = 1

    @workflow.run
    async def run(self, task: AgentTask[RefundTask]) -> AgentOutcome[RefundReport]:
        """Start with a refund to make, end with whether it was made."""
        return await self.run_agent(task)


def script(request: ModelCall) -> AssistantMessage:
    """What the model says: it tries until a refund is made, and remembers nothing between requests."""
    first = request.messages[0]
    assert isinstance(first, UserMessage)
    task = json.loads(first.text)
    heard = [message for message in request.messages if isinstance(message, ToolMessage)]
    looks = sum(message.tool == LOOK for message in heard)
    tried = [message for message in heard if message.tool != LOOK]
    wanted = task.get("looks", 0)
    if looks < wanted:
        return call(LOOK, order_id=task["order_id"], turn=looks)
    is_made = bool(tried) and not tried[-1].is_error
    if not is_made and len(tried) < MAX_TRIES:
        return call(task["tool"], order_id=task["order_id"], amount_usd=task["amount_usd"])
    if looks < 2 * wanted:
        return call(LOOK, order_id=task["order_id"], turn=looks)
    return answer({"refunded": is_made})
