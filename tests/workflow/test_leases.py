"""A write that another attempt may still be at: the run waits for it, which uses up none of its attempts."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.testing import WorkflowEnvironment

from agentflow import AgentOutcome, AgentTask
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.effects import EffectQuery, EffectRecord
from agentflow.contracts.tools import ToolCallId
from agentflow.core.idempotency import arguments_hash, ledger_key, run_root
from agentflow.core.record_seals import sealed
from agentflow.testing import ScriptedModel, answer, call
from agentflow.testing.settings import TEST_SEAL_KEYS
from tests.workflow.harness import replayed, serving
from tests.workflow.tools import QUICK

PAY = {"account": "alice", "amount": "10.00"}
PAYS = [call("pay", **PAY), answer(PAY)]
LEASE = timedelta(seconds=1)


async def renewed(ledger: SQLiteLedger, record: EffectRecord, times: int) -> None:
    """Another attempt, which keeps its lease for a while and then dies."""
    assert await ledger.insert(sealed(record, 1, TEST_SEAL_KEYS))
    for version in range(1, times + 1):
        await asyncio.sleep(LEASE.total_seconds() * 0.6)
        if not await ledger.replace(sealed(record, version + 1, TEST_SEAL_KEYS), version=version):
            return


@pytest.mark.parametrize(("agent", "tool"), [("Banker", "pay"), ("Remitter", "remit")])
async def test_however_often_a_lease_is_found_a_safe_repeat_is_made_and_nobody_is_asked(
    temporal: WorkflowEnvironment, tmp_path: Path, agent: str, tool: str
) -> None:
    ledger, workflow_id = SQLiteLedger(tmp_path / "effects.sqlite"), f"case-{uuid4()}"
    async with serving(temporal, ScriptedModel(PAYS), tmp_path, ledger=ledger) as bank:
        handle = await bank.client.start_workflow(
            agent,
            AgentTask(input="remit alice", requested_by="rita"),
            id=workflow_id,
            task_queue=bank.task_queue,
            # Until there is the record.
            start_delay=timedelta(milliseconds=300),
            result_type=AgentOutcome[Any],
        )
        record = EffectRecord(
            key=ledger_key(run_root("default", workflow_id), str(handle.first_execution_run_id), 1, tool),
            namespace="default",
            workflow_id=workflow_id,
            run_id="another",
            tool=tool,
            tool_call_id=ToolCallId("call_1"),
            arguments_hash=arguments_hash(tool, PAY),
            owner="another",
            lease=LEASE,
        )
        other = asyncio.create_task(renewed(ledger, record, QUICK.max_attempts * 2 + 2))
        async with asyncio.timeout(60):
            outcome = await handle.result()
        await other
        assert bank.bank.paid == [("alice", "10.00")]
    assert (outcome.status, outcome.tool_calls[0].effect) == ("completed", "done")
    await replayed(await handle.fetch_history())
    (found,) = (await ledger.find(EffectQuery())).effects
    # The other attempt's, and the one that was made.
    assert found.record.attempts == 2
