"""A support desk for the tests: the refund agent with a real shop, real payments and a scripted model."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.orders import OrderTools
from activities.payments import KEY_METADATA, PaymentRefund, Payments, PaymentTools
from activities.replies import Outbox, ReplyTools
from activities.shop import ShopDatabase
from agentflow import AgentClient, AgentOutcome, AgentTask, tools_of
from agentflow.contracts.approval import ApprovalRequest
from agentflow.testing import ScriptedModel, answer, scripted_plugin
from tests.reference.agents import ProvenSupportRefund
from tests.workflow.harness import eventually
from workflows.support_answers import SupportResult
from workflows.support_refund import SupportRefund
from workflows.support_tickets import load_tickets

TICKETS = {labelled.ticket.ticket_id: labelled.ticket for labelled in load_tickets()}
WANTS_REFUND = answer({"wants": "refund"})


def refunding(amounts: dict[str, str], cited: str | None = None) -> Any:
    cited = cited or next(iter(amounts))
    return answer(
        {
            "reasons": [{"order_id": cited, "field": "refundable_usd", "text": "broken on arrival"}],
            "action": "refund",
            "refunds": [{"order_id": order, "amount_usd": amount} for order, amount in amounts.items()],
            "reply": "Your money is on its way to you.",
        }
    )


@dataclass
class Desk:
    client: AgentClient
    payments: Payments
    outbox: Outbox
    queue: str

    async def start(self, ticket_id: str, agent: type = ProvenSupportRefund) -> WorkflowHandle[Any, Any]:
        task = AgentTask(input=TICKETS[ticket_id], requested_by="support-inbox")
        workflow_id = await self.client.start(agent, task, task_queue=self.queue)
        return self.client.temporal.get_workflow_handle(workflow_id, result_type=AgentOutcome[SupportResult])

    async def run(self, ticket_id: str, agent: type = ProvenSupportRefund) -> AgentOutcome[SupportResult]:
        return await (await self.start(ticket_id, agent)).result()

    async def refunds(self) -> list[PaymentRefund]:
        """What payments itself says the agent refunded from this shop."""
        return [r for r in await self.payments.list_refunds() if KEY_METADATA in r.metadata]

    async def pending(self, handle: WorkflowHandle[Any, Any]) -> ApprovalRequest:
        async def look() -> ApprovalRequest | None:
            waiting = await self.client.pending_approvals(handle.id)
            return waiting[0] if waiting else None

        return await eventually(look)


@asynccontextmanager
async def desk(
    temporal: WorkflowEnvironment,
    payments: Payments,
    shop: ShopDatabase,
    directory: Path,
    script: list[Any],
    **settings: Any,
) -> AsyncIterator[Desk]:
    outbox = Outbox(directory / "outbox.sqlite")
    owners = (OrderTools(shop, payments), PaymentTools(shop, payments), ReplyTools(outbox))
    plugin = scripted_plugin(
        ScriptedModel(script),
        tools=[t for owner in owners for t in tools_of(owner)],
        directory=directory,
        **settings,
    )
    client = await temporal.connect_client(plugins=[plugin])
    queue = f"support-{uuid4()}"
    async with Worker(client, task_queue=queue, workflows=[SupportRefund, ProvenSupportRefund]):
        yield Desk(AgentClient(client), payments, outbox, queue)
