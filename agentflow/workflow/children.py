"""A run has no share of its budget for another run: one that it starts as a child is refused.

What a run starts as a child bears the mark of it, in the header of its start. An agent's run that bears the
mark ends as ``denied`` before it calls anything; another workflow hands the mark on to what it starts itself.
A workflow that is no agent's run marks nothing of its own: it may start as many runs as it likes.
"""

from typing import Any, NoReturn

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.worker import (
    ContinueAsNewInput,
    Interceptor,
    StartChildWorkflowInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)
from temporalio.workflow import ChildWorkflowHandle

from agentflow.errors import RunDenied
from agentflow.workflow.definition import definition_of

STARTED_BY_RUN = "agentflow-started-by-run"
"""Header of a start: the workflow id of the run that is behind it."""


def refuse_child() -> None:
    """See that no run started this one.

    Raises:
        RunDenied: one did.
    """
    if (parent := _run_behind()) is not None:
        raise RunDenied(
            f"run {parent} started it, and a run has no budget for another one: let a workflow that is no "
            "agent start both, or do the work in the run itself"
        )


def _run_behind() -> str | None:
    marked = workflow.info().headers.get(STARTED_BY_RUN)
    return None if marked is None else marked.data.decode(errors="replace")


def _mark() -> Payload | None:
    """What a child of this workflow bears."""
    running: object = workflow.instance()
    if definition_of(type(running)) is not None:
        return Payload(metadata={"encoding": b"binary/plain"}, data=workflow.info().workflow_id.encode())
    return workflow.info().headers.get(STARTED_BY_RUN)


class ChildrenInterceptor(Interceptor):
    """Marks what runs start as children, on a worker and on a replayer."""

    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor]:
        """Of each workflow."""
        return _Inbound


class _Inbound(WorkflowInboundInterceptor):
    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(_Outbound(outbound))


class _Outbound(WorkflowOutboundInterceptor):
    async def start_child_workflow(self, input: StartChildWorkflowInput) -> ChildWorkflowHandle[Any, Any]:
        if (mark := _mark()) is not None:
            input.headers = {**input.headers, STARTED_BY_RUN: mark}
        return await super().start_child_workflow(input)

    def continue_as_new(self, input: ContinueAsNewInput) -> NoReturn:
        # A run that bears the mark has ended; of others it would be lost here.
        if (mark := workflow.info().headers.get(STARTED_BY_RUN)) is not None:
            input.headers = {**input.headers, STARTED_BY_RUN: mark}
        super().continue_as_new(input)
