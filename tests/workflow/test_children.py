"""A run has no share of its budget for another run: one that a run is behind is refused."""

from pathlib import Path

import pytest
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer

from agentflow import AgentflowPlugin
from agentflow.testing import ScriptedModel, answer
from tests.workflow.harness import serving
from tests.workflow.parent_agents import Child, Delegating, GoBetween, Parent

WORKFLOWS = [Child, Delegating, GoBetween, Parent]


async def test_a_run_that_a_run_started_is_denied_before_it_calls_a_model(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    model = ScriptedModel([answer("hello")])
    async with serving(temporal, model, tmp_path, workflows=WORKFLOWS) as bank:
        handle = await bank.start(Delegating, "Child")
        outcome = await handle.result()
        history = await handle.fetch_history()
        child = await bank.agents.result(f"{handle.id}-child", str)
    assert outcome.output is not None
    assert f"run {handle.id} started it" in outcome.output
    assert (child.status, child.usage.model_calls, model.requests) == ("denied", 0, [])
    replayer = Replayer(workflows=WORKFLOWS, plugins=[AgentflowPlugin()])
    assert (await replayer.replay_workflow(history)).replay_failure is None


@pytest.mark.parametrize("between", ["Parent", "GoBetween"])
async def test_nor_may_it_be_started_by_what_a_run_started(
    temporal: WorkflowEnvironment, tmp_path: Path, between: str
) -> None:
    model = ScriptedModel([answer("hello")])
    async with serving(temporal, model, tmp_path, workflows=WORKFLOWS) as bank:
        outcome = await bank.run(Delegating, between)
    assert "a run has no budget for another one" in (outcome.output or "")
    assert model.requests == []


@pytest.mark.parametrize("parent", [Parent, GoBetween])
async def test_a_workflow_that_is_no_run_may_start_runs(
    temporal: WorkflowEnvironment, tmp_path: Path, parent: type
) -> None:
    async with serving(temporal, ScriptedModel([answer("hello")]), tmp_path, workflows=WORKFLOWS) as bank:
        assert (await bank.run(parent)).output == "the child says hello"
