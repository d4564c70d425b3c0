"""Whoever can write to the ledger: a run believes no record that no worker wrote, and asks a person."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.testing import WorkflowEnvironment

from agentflow import AgentOutcome, AgentTask
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.effects import EffectRecord
from agentflow.contracts.escalation import Resolution
from agentflow.contracts.tools import ToolCallId
from agentflow.core.idempotency import arguments_hash, ledger_key, run_root
from agentflow.testing import ScriptedModel, answer, call
from tests.workflow.harness import serving
from tests.workflow.test_effects import ended, in_doubt

PAY = {"account": "alice", "amount": "10.00"}


@pytest.mark.parametrize("state", ["done", "failed", "intended"])
async def test_a_record_that_was_put_there_before_the_run_ends_no_write_of_it(
    temporal: WorkflowEnvironment, tmp_path: Path, state: Any
) -> None:
    ledger, workflow_id = SQLiteLedger(tmp_path / "effects.sqlite"), f"forged-{uuid4()}"
    model = ScriptedModel([call("pay", **PAY), answer(PAY)])
    async with serving(temporal, model, tmp_path, ledger=ledger) as bank:
        handle = await bank.client.start_workflow(
            "Banker",
            AgentTask(input="pay", requested_by="rita"),
            id=workflow_id,
            task_queue=bank.task_queue,
            # Until there is the record.
            start_delay=timedelta(seconds=1),
            result_type=AgentOutcome[Any],
        )
        forged = EffectRecord(
            key=ledger_key(run_root("default", workflow_id), str(handle.first_execution_run_id), 1, "pay"),
            namespace="default",
            workflow_id=workflow_id,
            run_id="mallory",
            tool="pay",
            tool_call_id=ToolCallId("call_1"),
            arguments_hash=arguments_hash("pay", PAY),
            state=state,
            owner="mallory",
            attempts=0 if state == "intended" else 1,
            lease=timedelta(0),
            result=None if state == "intended" else '{"output": "paid 10.00 to alice"}',
        )
        assert await ledger.insert(forged)
        effect = await in_doubt(bank, handle)
        assert "was not written by a worker of this fleet" in effect.detail
        assert bank.bank.paid == []
        await bank.agents.resolve(handle.id, Resolution(action="did_not_happen", by="otto"))
        outcome = await ended(handle)
        assert bank.bank.paid == []
    (paid,) = outcome.tool_calls
    assert (paid.effect, paid.error) == ("failed", "failed: it did not happen, says otto")
