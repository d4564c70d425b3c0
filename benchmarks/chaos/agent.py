"""The agent of the chaos run: its model asks for one refund, and says whether it was made."""

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


class RefundTask(Contract):
    """What is to be refunded, and with which of the tools."""

    tool: Literal["refund_probed", "refund_asked"]
    order_id: OrderId
    amount_usd: UsdText


class RefundReport(Contract):
    """What the run says of it."""

    refunded: bool


@workflow.defn
class RefundDesk(AgentWorkflow[RefundTask, RefundReport]):
    """Makes one refund."""

    tools = (RefundTools.refund_probed, RefundTools.refund_asked)
    rules = (allow("refunds", reason="it is what this agent is for"),)
    budget = Budget(model_calls=200)
    model_options = ModelOptions(
        start_to_close_timeout=timedelta(seconds=10), heartbeat_timeout=HEARTBEAT_TIMEOUT, retry=QUICKLY
    )
    release = Release(version="1", proven_models=("scripted:model",))
    escalation_timeout = timedelta(hours=1)

    @workflow.run
    async def run(self, task: AgentTask[RefundTask]) -> AgentOutcome[RefundReport]:
        """Start with a refund to make, end with whether it was made."""
        return await self.run_agent(task)


def script(request: ModelCall) -> AssistantMessage:
    """What the model says: it tries until a refund is made, and remembers nothing between requests."""
    tried = [message for message in request.messages if isinstance(message, ToolMessage)]
    if tried and not tried[-1].is_error:
        return answer({"refunded": True})
    if len(tried) >= MAX_TRIES:
        return answer({"refunded": False})
    first = request.messages[0]
    assert isinstance(first, UserMessage)
    task = json.loads(first.text)
    return call(task["tool"], order_id=task["order_id"], amount_usd=task["amount_usd"])
