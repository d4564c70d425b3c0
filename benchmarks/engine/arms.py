"""What is compared."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agentflow.activity.tool import Tool
from agentflow.contracts.task import AgentTask
from benchmarks.engine.by_hand_local import MinimalLocal
from benchmarks.engine.by_hand_minimal import Minimal
from benchmarks.engine.by_hand_naive import Naive
from benchmarks.engine.guarded import Guarded
from benchmarks.engine.guarded_local import GuardedLocal
from benchmarks.engine.script import Job
from benchmarks.engine.tools import correct, look_up, look_up_locally


@dataclass(frozen=True)
class Arm:
    """One way to run the agent."""

    name: str
    workflow: type
    argument: Callable[[Job], Any]
    """What a run is started with."""
    tools: tuple[Tool[..., Any], ...] = ()
    """Of an agent on agentflow; empty where it is written by hand."""

    @property
    def is_guarded(self) -> bool:
        """Whether it runs on agentflow."""
        return bool(self.tools)


def _turns(job: Job) -> int:
    return job.turns


def _task(job: Job) -> Any:
    return AgentTask(input=job.text, requested_by="benchmark").model_dump(mode="json")


ARMS = {
    arm.name: arm
    for arm in (
        Arm("naive", Naive, _turns),
        Arm("minimal", Minimal, _turns),
        Arm("minimal_local", MinimalLocal, _turns),
        Arm("agentflow", Guarded, _task, (look_up, correct)),
        Arm("agentflow_local", GuardedLocal, _task, (look_up_locally, correct)),
    )
}
