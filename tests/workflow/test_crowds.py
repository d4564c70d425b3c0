"""More signals in one workflow task than it takes: each has its turn, in order, and few have lines of their own."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from agentflow import AgentTask
from agentflow.contracts.approval import ApprovalDecision, ApprovalRequest
from agentflow.testing import ScriptedModel, answer, call
from tests.workflow.agents import Banker, LongBanker
from tests.workflow.harness import Harness, chain, eventually, replayed, serving
from tests.workflow.outage import is_about_to_wake, outage, timers_of
from tests.workflow.test_in_time import decision, ended

DONE = answer({"account": "alice", "amount": "10.00"})
LARGE = [call("pay", account="alice", amount="600.00"), DONE]


@pytest.fixture(autouse=True)
def small_crowds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentflow.workflow.signal_queue.MAX_AT_ONCE", 10)
    monkeypatch.setattr("agentflow.workflow.arrivals.MAX_IN_FULL", 5)


@asynccontextmanager
async def waiting(
    temporal: WorkflowEnvironment, directory: Path, agent: type = Banker, **settings: Any
) -> AsyncIterator[tuple[WorkflowHandle[Any, Any], ApprovalRequest, Any]]:
    """A run that waits for an approval, with no worker, and how to bring one."""
    queue = f"test-{uuid4()}"
    async with serving(temporal, ScriptedModel(LARGE), directory, queue=queue, **settings) as bank:
        handle = await bank.start(agent)
        request = await bank.pending(handle)

        async def is_idle() -> bool | None:
            if await is_about_to_wake(handle):
                return None
            told = (await handle.describe()).raw_description
            return None if told.HasField("pending_workflow_task") else True

        await eventually(is_idle)
        stage = bank.bank
    yield (
        handle,
        request,
        lambda: serving(temporal, ScriptedModel(LARGE), directory, queue=queue, bank=stage, **settings),
    )


async def send(handle: WorkflowHandle[Any, Any], payloads: Sequence[dict[str, Any]]) -> None:
    """Send them as approvals, in order."""
    for payload in payloads:
        await handle.signal("approve", payload)


def wrong(request: ApprovalRequest, number: int) -> dict[str, Any]:
    return {
        "approval_id": request.id,
        "by": "eve",
        "reason": f"{number}",
        "arguments_hash": "0" * 64,
    }


async def timers(handle: WorkflowHandle[Any, Any]) -> int:
    """How many timers have fired that bring a workflow task for what waits, but for the wait's own."""
    return len((await timers_of(handle, soon=True)).fired) - 1


async def test_the_right_decision_counts_behind_more_wrong_ones_than_one_task_takes(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with waiting(temporal, tmp_path) as (handle, request, serve):
        await send(handle, [wrong(request, number) for number in range(25)])
        await send(handle, [decision(request)])
        async with serve() as bank:
            assert (await handle.result()).tool_calls[0].approved_by == ("ann",)
            log = await bank.agents.decisions(handle.id)
            (history,) = await chain(handle)
            await replayed(history)
    assert bank.bank.paid == [("alice", "600.00")]
    assert await timers(handle) == 2
    refused = [line for line in log if line.by == "eve"]
    assert len(refused) == 5
    assert "20 lines are left out" in log[0].detail


async def test_what_came_before_in_the_same_words_needs_no_turn_of_its_own(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with waiting(temporal, tmp_path) as (handle, request, serve):
        await send(handle, [wrong(request, 0)] * 40)
        await send(handle, [decision(request)])
        async with serve() as bank:
            assert (await handle.result()).tool_calls[0].approved_by == ("ann",)
            log = await bank.agents.decisions(handle.id)
    assert await timers(handle) == 0
    assert "35 lines are left out" in log[0].detail


async def test_of_two_decisions_behind_a_crowd_the_first_stands(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with waiting(temporal, tmp_path) as (handle, request, serve):
        await send(handle, [wrong(request, number) for number in range(15)])
        await handle.signal("reject", decision(request, "ann", reason="not ours"))
        await send(handle, [decision(request, "bob")])
        async with serve() as bank:
            outcome = await handle.result()
    assert "rejected by ann: not ours" in (outcome.tool_calls[0].error or "")
    assert bank.bank.paid == []


async def test_an_update_is_heard_after_the_signals_that_came_before_it(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with waiting(temporal, tmp_path) as (handle, request, serve):
        await send(handle, [wrong(request, number) for number in range(15)])
        await handle.signal("reject", decision(request, "ann", reason="not ours"))
        async with serve() as bank:
            late = ApprovalDecision(approval_id=request.id, by="bob", verdict="approve")
            with pytest.raises(Exception, match="is rejected already"):
                await bank.agents.decide(handle.id, late)
            outcome = await handle.result()
    assert "rejected by ann: not ours" in (outcome.tool_calls[0].error or "")


async def test_an_approval_that_came_before_it_was_asked_for_does_not_count_though_it_is_heard_later(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    queue = f"test-{uuid4()}"
    early = [{"approval_id": f"approval-{number}", "by": "eve"} for number in range(2, 20)]
    async with serving(temporal, ScriptedModel(LARGE), tmp_path, queue=queue) as bank:
        workflow_id = f"early-{uuid4()}"
    task = AgentTask(input="hello", requested_by="rita")
    handle = await bank.client.start_workflow(Banker.run, task, id=workflow_id, task_queue=queue)
    await send(handle, [*early, {"approval_id": "approval-1", "by": "eve"}])
    async with serving(temporal, ScriptedModel(LARGE), tmp_path, queue=queue) as bank:

        async def is_heard() -> bool | None:
            return True if await timers(handle) > 0 else None

        request = await bank.pending(handle)
        await eventually(is_heard)
        assert (await bank.agents.pending_approvals(handle.id))[0].approved_by == ()
        await bank.agents.decide(handle.id, ApprovalDecision(**decision(request), verdict="approve"))
        outcome = await handle.result()
    assert outcome.tool_calls[0].approved_by == ("ann",)


async def test_what_came_in_time_counts_behind_a_crowd_that_is_heard_after_the_deadline(
    skipping: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with outage(skipping, ScriptedModel(LARGE), tmp_path, Banker, Harness.pending) as (run, request):
        await run.move_close_to(request.deadline)
        numbers = range(25)
        await asyncio.gather(*(run.handle.signal("approve", wrong(request, number)) for number in numbers))
        await run.handle.signal("approve", decision(request))
        await run.wait_for_timers()
        outcome, paid, _ = await ended(run)
    assert outcome.tool_calls[0].approved_by == ("ann",)
    assert paid == [("alice", "600.00")]


async def test_a_run_that_ends_says_how_many_signals_it_has_not_looked_at(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with waiting(temporal, tmp_path) as (handle, request, serve):
        await send(handle, [decision(request)])
        await send(handle, [wrong(request, number) for number in range(40)])
        async with serve() as bank:
            assert (await handle.result()).tool_calls[0].approved_by == ("ann",)
            log = await bank.agents.decisions(handle.id)
    assert any("signals were not looked at: the run ended" in line.detail for line in log)


async def test_a_run_continues_as_new_once_a_crowd_is_heard(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    async with waiting(temporal, tmp_path, LongBanker) as (handle, request, serve):
        await send(handle, [wrong(request, number) for number in range(120)])
        async with serve() as bank:

            async def continued() -> bool | None:
                return True if len(await chain(handle)) > 1 else None

            await eventually(continued, seconds=60)
            await send(handle, [decision(request)])
            assert (await handle.result()).tool_calls[0].approved_by == ("ann",)
    assert bank.bank.paid == [("alice", "600.00")]
