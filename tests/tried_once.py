"""Workers that try each workflow in the sandbox once a process, not once a worker.

A worker imports the module of each of its workflows in the sandbox when it is made, and makes an instance. For
each test's worker with all test agents that was more than all the rest of the test. Runs are not concerned: each
has a sandbox of its own.
"""

from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import _Definition

_tried: dict[type, list[SandboxRestrictions]] = {}
_prepare_workflow = SandboxedWorkflowRunner.prepare_workflow


def _prepare_workflow_once(self: SandboxedWorkflowRunner, defn: _Definition) -> None:
    tried = _tried.setdefault(defn.cls, [])
    if self.restrictions not in tried:
        _prepare_workflow(self, defn)
        tried.append(self.restrictions)


def try_workflows_once() -> None:
    """For this process, from now on. What fails is tried again."""
    SandboxedWorkflowRunner.prepare_workflow = _prepare_workflow_once
