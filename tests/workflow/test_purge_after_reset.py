"""A run that was reset may come back to what it wrote long before: its last execution counts."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.testing import WorkflowEnvironment

from agentflow import AgentOutcome, AgentTask
from agentflow.adapters import ledger_purge
from agentflow.adapters.ledger_purge import LedgerPurge
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.escalation import Resolution
from agentflow.testing import ScriptedModel, answer, call
from tests.workflow.harness import serving
from tests.workflow.outside_doors import reset_to

DONE = answer({"account": "alice", "amount": "10.00"})


async def test_what_a_reset_run_wrote_is_kept_until_its_last_execution_has_long_closed(
    temporal: WorkflowEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = SQLiteLedger(tmp_path / "effects.sqlite")
    model = ScriptedModel([call("pay", account="alice", amount="10.00"), answer("?"), answer("?"), DONE])
    async with serving(temporal, model, tmp_path, ledger=ledger) as bank:
        wid = f"case-{uuid4()}"
        first = await bank.client.start_workflow(
            "Banker",
            AgentTask(input="pay", requested_by="rita"),
            id=wid,
            task_queue=bank.task_queue,
            result_type=AgentOutcome[Any],
        )
        await bank.escalation(first)
        assert bank.bank.paid == [("alice", "10.00")]
        e1 = str(first.first_execution_run_id)
        kind = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
        done = [e.event_id async for e in first.fetch_history_events() if e.event_type == kind]
        await reset_to(bank, wid, e1, done[-1])
        again = bank.client.get_workflow_handle(wid, result_type=AgentOutcome[Any])
        await bank.escalation(again)
        await asyncio.sleep(1)
        e2 = (await again.describe()).run_id
        assert e2 != e1
        # ... 401 days pass: what the ledger has of the payment is old, E1 (closed by the reset) has left
        # Temporal, E2 has just closed.
        await bank.agents.resolve(wid, Resolution(action="guide", by="otto", text="ten"))
        outcome = await again.result()
        assert outcome.status == "completed"
        closed1 = (await bank.client.get_workflow_handle(wid, run_id=e1).describe()).close_time
        closed2 = (await again.describe()).close_time
        assert closed1
        assert closed2
        assert closed1 < closed2
        # By all three clocks it is 400 days after a moment between: E1 closed longer ago than the retention,
        # E2 less long ago.
        now = closed1 + (closed2 - closed1) / 2 + timedelta(days=400)

        async def at_now(*_: Any) -> datetime:
            return now

        monkeypatch.setattr(ledger_purge, "server_time", at_now)
        monkeypatch.setattr(ledger, "clock", at_now)
        await LedgerPurge(ledger, bank.client, bank.task_queue, timedelta(days=400), lambda: now).round()
        # E2 closed seconds ago and has its history: it is reset to before the payment.
        await reset_to(bank, wid, e2, 4)
        third = bank.client.get_workflow_handle(wid, result_type=AgentOutcome[Any])
        await bank.escalation(third)
        assert len(bank.bank.paid) == 1
