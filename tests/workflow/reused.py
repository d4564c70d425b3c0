"""Runs of the bank under one workflow id, one after the other, and what tests ask of them."""

import asyncio
from typing import Any

from temporalio.client import WorkflowHandle

from agentflow import AgentOutcome, AgentTask
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.effects import EffectQuery, EffectRecord
from agentflow.contracts.escalation import EffectInDoubt
from agentflow.contracts.messages import AssistantMessage
from agentflow.testing import ScriptedModel, answer, call
from tests.workflow.harness import Harness

PAID = ("alice", "10.00")
PAYS = [call("pay", account="alice", amount="10.00"), answer({"account": "alice", "amount": "10.00"})]
LOOKS_FIRST = [call("balance", account="alice"), *PAYS]


def in_turn(*lines: AssistantMessage) -> ScriptedModel:
    """Says one line after the other, whichever run asks."""
    left = iter(lines)
    return ScriptedModel(lambda _: next(left))


async def records(ledger: SQLiteLedger) -> list[EffectRecord]:
    return [found.record for found in (await ledger.find(EffectQuery())).effects]


async def begun(
    bank: Harness, workflow_id: str, agent: str = "Banker", **options: Any
) -> WorkflowHandle[Any, AgentOutcome[Any]]:
    """A run as Temporal's own client starts it."""
    return await bank.client.start_workflow(
        agent,
        AgentTask(input="pay", requested_by="rita"),
        id=workflow_id,
        task_queue=bank.task_queue,
        result_type=AgentOutcome[Any],
        **options,
    )


async def ended(handle: WorkflowHandle[Any, AgentOutcome[Any]]) -> AgentOutcome[Any]:
    async with asyncio.timeout(60):
        return await handle.result()


async def asked(bank: Harness, handle: WorkflowHandle[Any, Any]) -> EffectInDoubt:
    effect = (await bank.escalation(handle)).effect
    assert effect is not None
    assert effect.earlier is not None
    return effect
