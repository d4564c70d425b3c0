"""A run takes up what an execution before it sealed, and nothing else."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from agentflow import AgentOutcome
from agentflow.testing import ScriptedModel, answer, call
from tests.workflow.agents import LongBanker
from tests.workflow.harness import Harness, chain, eventually, serving
from tests.workflow.outside_doors import reset_to
from tests.workflow.slow_agents import Gatherer
from tests.workflow.strangers import Impostor

DONE = answer({"account": "alice", "amount": "5.00"})


async def test_a_run_whose_input_has_no_order_goes_on_in_new_executions(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel([*[call("balance", account="alice")] * 12, DONE])
    async with serving(temporal, model, tmp_path, workflows=[Gatherer]) as bank:
        handle = await bank.start(Gatherer, {"a", "b", "c", "d", "ee", "fff"})
        outcome = await handle.result()
        assert len(await chain(handle)) > 1
    assert outcome.status == "completed"


async def test_a_state_that_no_execution_sealed_is_denied_through_every_door(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    """By a start, by a cron, and by continuing as new from a workflow of one's own."""
    model = ScriptedModel([*[call("balance", account="alice")] * 12, DONE])
    async with serving(temporal, model, tmp_path) as bank:
        state, seal = await carried_by(bank)
        asked = len(model.requests)
        task = {"input": "pay eve", "requested_by": "eve", "carried": state, "seal": seal}
        starts = [await started(bank, {**task, "seal": None}), await started(bank, task)]
        by_cron = await started_by_cron(bank, task)
        async with Worker(bank.client, task_queue="impostor", workflows=[Impostor]):
            handle = await bank.client.start_workflow(
                "Impostor",
                args=["LongBanker", bank.task_queue, task],
                id=f"impostor-{uuid4()}",
                task_queue="impostor",
                result_type=AgentOutcome[Any],
            )
            impostor = await handle.result()
    assert {outcome.status for outcome in (*starts, *by_cron, impostor)} == {"denied"}
    assert "may not bring the state of a run" in starts[0].reason
    assert ["state of another run" in outcome.reason for outcome in by_cron] == [False, True]
    assert "state of another run" in impostor.reason
    assert len(model.requests) == asked


async def test_a_later_execution_that_is_reset_takes_up_its_state_again(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel([*[call("balance", account="alice")] * 12, DONE])
    async with serving(temporal, model, tmp_path) as bank:
        handle = await bank.start(LongBanker)
        first = await handle.result()
        latest = (await chain(handle))[-1].run_id
        reset = await reset_to(bank, handle.id, latest, workflow_task_completed=4)
        outcome = await bank.client.get_workflow_handle(
            handle.id, run_id=reset, result_type=AgentOutcome[Any]
        ).result()
    assert (first.status, outcome.status) == ("completed", "completed")
    assert len(outcome.tool_calls) == 12


async def carried_by(bank: Harness) -> tuple[Any, str]:
    """The state that a run's execution handed to its next, and its seal: in history for everyone to read."""
    handle = await bank.start(LongBanker)
    await handle.result()
    _, second, *_ = await chain(handle)
    (payload,) = second.events[0].workflow_execution_started_event_attributes.input.payloads
    task = json.loads(payload.data)
    return task["carried"], task["seal"]


async def started(bank: Harness, task: Any) -> AgentOutcome[Any]:
    handle = await bank.client.start_workflow(
        "LongBanker", task, id=f"started-{uuid4()}", task_queue=bank.task_queue, result_type=AgentOutcome[Any]
    )
    return await handle.result()


async def started_by_cron(bank: Harness, task: Any) -> list[AgentOutcome[Any]]:
    """How the first two executions of a cron schedule end."""
    handle = await bank.client.start_workflow(
        "LongBanker", task, id=f"cron-{uuid4()}", task_queue=bank.task_queue, cron_schedule="@every 1s"
    )

    async def ends() -> list[AgentOutcome[Any]] | None:
        # Each is a run of its own, and says which one follows it.
        outcomes, run_id = list[AgentOutcome[Any]](), handle.first_execution_run_id or ""
        while run_id and len(outcomes) < 2:
            execution = bank.client.get_workflow_handle(handle.id, run_id=run_id)
            end = (await execution.fetch_history()).events[-1]
            if not end.HasField("workflow_execution_completed_event_attributes"):
                return None
            completed = end.workflow_execution_completed_event_attributes
            outcomes.append(AgentOutcome[Any].model_validate_json(completed.result.payloads[0].data))
            run_id = completed.new_execution_run_id
        return outcomes

    found = await eventually(ends)
    await bank.client.get_workflow_handle(handle.id).terminate()
    return found
