"""One call that starts a run and waits until it needs people or has ended."""

import asyncio
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.testing import WorkflowEnvironment

from agentflow import AgentTask
from agentflow.contracts.attention import Attention
from agentflow.testing import ScriptedModel, answer, call
from tests.workflow.agents import Banker, LongBanker
from tests.workflow.harness import Harness, chain, replayed, serving

DONE = answer({"account": "alice", "amount": "10.00"})
PAYS = [call("pay", account="alice", amount="600.00"), DONE]


async def started(bank: Harness, workflow_id: str, agent: type = Banker) -> Attention:
    task = AgentTask(input="hello", requested_by="rita")
    async with asyncio.timeout(30):
        return await bank.agents.start_and_wait(
            agent, task, task_queue=bank.task_queue, workflow_id=workflow_id
        )


async def test_one_call_starts_a_run_and_answers_with_its_first_approval(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    case = f"case-{uuid4()}"
    async with serving(temporal, ScriptedModel(PAYS), tmp_path) as bank:
        first = await started(bank, case)
        again = await started(bank, case)
        assert (first.state, first.approvals[0].tool) == ("waiting_for_approval", "pay")
        assert again == first
        await bank.agents.approve(case, first.approvals[0].id, by="ann")
        async with asyncio.timeout(30):
            handle = bank.client.get_workflow_handle(case)
            await handle.result()
        assert bank.bank.paid == [("alice", "600.00")]
        await replayed(await handle.fetch_history())


async def test_a_run_that_needs_nobody_is_answered_with_its_end(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    case = f"case-{uuid4()}"
    async with serving(temporal, ScriptedModel([DONE]), tmp_path) as bank:
        ended = await started(bank, case)
        assert (ended.state, ended.outcome, ended.approvals) == ("ended", "completed", ())
        await replayed(await bank.client.get_workflow_handle(case).fetch_history())


async def test_a_case_that_has_ended_is_not_started_again(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    case = f"case-{uuid4()}"
    async with serving(temporal, ScriptedModel([DONE, DONE]), tmp_path) as bank:
        await started(bank, case)
        await bank.client.get_workflow_handle(case).result()
        with pytest.raises(WorkflowAlreadyStartedError):
            await started(bank, case)


async def test_an_escalation_is_answered_with_what_it_asks(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    case = f"case-{uuid4()}"
    async with serving(temporal, ScriptedModel([answer("?"), answer("?")]), tmp_path) as bank:
        asked = await started(bank, case)
        assert asked.escalation is not None
        assert (asked.state, asked.escalation.answerable) == ("escalated", True)
        await bank.client.get_workflow_handle(case).cancel()


async def test_a_run_that_continues_as_new_meanwhile_is_waited_for_all_the_same(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    case = f"case-{uuid4()}"
    looks = [call("balance", account="alice")] * 12
    async with serving(temporal, ScriptedModel([*looks, DONE]), tmp_path) as bank:
        ended = await started(bank, case, LongBanker)
        assert ended.state == "ended"
        assert len(await chain(bank.client.get_workflow_handle(case))) > 1
