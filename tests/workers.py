"""What Temporal's workers do otherwise in tests.

A worker imports the module of each of its workflows in the sandbox when it is made, and makes an instance. For
each test's worker with all test agents that was more than all the rest of the test: a process does it once.

Each run has a sandbox of its own, which imports its agent's module anew. The largest module of test agents is
passed through: to import it takes as long as all else that a run of it computes. The others are not.

A workflow task that takes two seconds counts as a deadlock, and one that is interrupted at a bad place can't be
evicted any more: its worker never ends. On a machine that is busy with other tests, two seconds mean nothing.
"""

from typing import Any

from temporalio.worker._workflow import _WorkflowWorker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import _Definition

from agentflow.workflow import sandbox

DEADLOCK_SECONDS = 60
PASSED_THROUGH = ("tests.workflow.agents",)

_tried: dict[type, list[SandboxRestrictions]] = {}
_prepare_workflow = SandboxedWorkflowRunner.prepare_workflow
_init = _WorkflowWorker.__init__


def _prepare_workflow_once(self: SandboxedWorkflowRunner, defn: _Definition) -> None:
    tried = _tried.setdefault(defn.cls, [])
    if self.restrictions not in tried:
        _prepare_workflow(self, defn)
        tried.append(self.restrictions)


def _init_patiently(self: _WorkflowWorker, *args: Any, **options: Any) -> None:
    _init(self, *args, **options)
    self._deadlock_timeout_seconds = DEADLOCK_SECONDS


def as_tests_need_them() -> None:
    """For all workers of this process, from now on. What fails in the sandbox is tried again."""
    sandbox.PASSED_THROUGH = (*sandbox.PASSED_THROUGH, *PASSED_THROUGH)
    SandboxedWorkflowRunner.prepare_workflow = _prepare_workflow_once
    _WorkflowWorker.__init__ = _init_patiently
