"""What the sandbox of agents leaves out. It hooks into parts of the SDK that are not public."""

from pathlib import Path
from typing import Any

from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.testing import WorkflowEnvironment

from agentflow.testing import ScriptedModel, answer
from agentflow.workflow import sandbox
from agentflow.workflow.sealed_calls import ELSEWHERE
from tests.workflow.chatting_agents import Forgetful
from tests.workflow.harness import serving


async def test_a_workflow_task_runs_code_that_is_compiled_already(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    compiled = sandbox._compiled.cache_info  # pyright: ignore[reportPrivateUsage]
    async with serving(temporal, ScriptedModel([answer("ok")] * 2), tmp_path) as bank:
        await bank.run(Forgetful)
        before = compiled()
        await bank.run(Forgetful)
    assert (compiled().misses, compiled().hits > before.hits) == (before.misses, True)


class Scheduling:
    """An instance that schedules activities."""

    def __init__(self, *ids: str) -> None:
        self._ids = ids

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        completion = WorkflowActivationCompletion()
        for name in self._ids:
            completion.successful.commands.add().schedule_activity.activity_id = name
        completion.successful.commands.add().start_timer.seq = 1
        return completion


def test_an_activity_that_is_asked_for_elsewhere_is_not_executed_at_once_by_the_runs_own_worker() -> None:
    inside: Any = Scheduling("1", f"{ELSEWHERE}tool-2")
    completion = sandbox._Instance(inside).activate(WorkflowActivation())  # pyright: ignore[reportPrivateUsage]
    commands = completion.successful.commands
    assert [command.schedule_activity.do_not_eagerly_execute for command in commands] == [False, True, False]


class Clocked:
    """An instance that keeps what time each activation gives it."""

    def __init__(self) -> None:
        self.times: list[int] = []

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        self.times.append(act.timestamp.seconds)
        return WorkflowActivationCompletion()


def at(seconds: int, *jobs: str) -> WorkflowActivation:
    act = WorkflowActivation()
    act.timestamp.seconds = seconds
    for job in jobs:
        made = act.jobs.add()
        getattr(made, job.removeprefix("local ")).SetInParent()
        if job.startswith("local "):
            made.resolve_activity.is_local = True
    return act


ACTIVATIONS = [
    at(1, "initialize_workflow"),
    at(2, "local resolve_activity"),
    at(3, "resolve_activity"),
    at(9, "local resolve_activity"),
    at(10, "local resolve_activity", "signal_workflow"),
    at(11, "fire_timer"),
]


def test_the_end_of_a_local_activity_moves_no_agents_clock() -> None:
    inside = Clocked()
    instance = sandbox._Instance(inside, is_agent=True)  # pyright: ignore
    for act in ACTIVATIONS:
        copy = WorkflowActivation()
        copy.CopyFrom(act)
        instance.activate(copy)
    assert inside.times == [1, 1, 3, 3, 10, 11]


def test_other_workflows_have_temporals_time() -> None:
    inside = Clocked()
    instance = sandbox._Instance(inside, is_agent=False)  # pyright: ignore
    for act in ACTIVATIONS:
        instance.activate(act)
    assert inside.times == [1, 2, 3, 9, 10, 11]
