"""How a run is started, disturbed and waited for: by the doors of Temporal's own client."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from uuid import uuid4

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import WorkflowFailureError, WorkflowHistoryEventFilterType
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from agentflow import AgentClient, AgentOutcome, AgentTask
from benchmarks.chaos.agent import LongRefundDesk, RefundDesk, RefundReport
from benchmarks.chaos.runs import Execution, PlannedRun, queue_of
from benchmarks.chaos.temporal import NAMESPACE
from benchmarks.chaos.timing import CRON

_PAUSE = 0.5
"""Seconds before the server is asked again after it didn't answer."""


class Runner:
    """Carries the runs out, so many at a time."""

    def __init__(self, agents: AgentClient, in_flight: int, seed: int) -> None:
        self._agents = agents
        self._in_flight = asyncio.Semaphore(in_flight)
        self._seed = seed

    async def carry_out(self, runs: Sequence[PlannedRun]) -> None:
        """Start all and wait for all. Cancelled, it leaves each with the fate it had by then."""
        # What takes several executions begins first.
        ranked = sorted(runs, key=lambda run: run.scenario not in ("cron", "reused", "reset", "continued"))
        async with asyncio.TaskGroup() as group:
            for run in ranked:
                group.create_task(self._one(run))

    async def _one(self, run: PlannedRun) -> None:
        async with self._in_flight:
            run.fate = "open"
            try:
                await self._course(run)
                run.fate = "ended"
            except (WorkflowFailureError, RPCError) as error:
                run.fate = "lost"
                run.problem = f"{error}: {error.__cause__}"

    async def _course(self, run: PlannedRun) -> None:
        chance = random.Random(f"{self._seed}/{run.workflow_id}")
        match run.scenario:
            case "reused":
                await self._reuse(run, chance)
            case "cron":
                await self._by_cron(run, chance.randint(2, 3))
            case "reset":
                await self._reset(run, chance)
            case _:
                await self._once(run)

    async def _once(self, run: PlannedRun) -> None:
        execution = await self._begun(run)
        cancelling = asyncio.create_task(self._cancel(run))
        try:
            execution.end(await self._outcome(run, execution.chain))
            execution.is_continued = await self._last_run_id(run) != execution.chain
        finally:
            cancelling.cancel()

    async def _reuse(self, run: PlannedRun, chance: random.Random) -> None:
        """Two runs of one workflow id; the first of every third is terminated at its work."""
        if run.number % 3 == 2:
            execution = await self._begun(run)
            await asyncio.sleep(chance.uniform(1, 5))
            await self._terminate(run)
            await self._close(run, execution, await self._closed(run, execution.chain))
        else:
            await self._once(run)
        await self._once(run)

    async def _by_cron(self, run: PlannedRun, times: int) -> None:
        execution = await self._begun(run, cron_schedule=CRON)
        while True:
            if len(run.executions) > times:
                # It is this one's turn to wait, or it has begun already.
                await self._terminate(run)
            closed = await self._closed(run, execution.chain)
            await self._close(run, execution, closed)
            if not (next_one := _next_run_id(closed)):
                return
            execution = Execution(next_one)
            run.executions.append(execution)

    async def _reset(self, run: PlannedRun, chance: random.Random) -> None:
        first = await self._begun(run)
        await asyncio.sleep(chance.uniform(2, 15))
        again = await self._reset_to(run, first.chain, chance)
        second = Execution(first.chain)
        run.executions.append(second)
        await self._close(run, first, await self._closed(run, first.chain))
        second.end(await self._outcome(run, again))

    async def _begun(self, run: PlannedRun, **options: Any) -> Execution:
        execution = Execution(await self._start(run, **options))
        run.executions.append(execution)
        return execution

    async def _start(self, run: PlannedRun, **options: Any) -> str:
        """Start a run; answer the run id of its first execution."""
        task = AgentTask(input=run.task, requested_by="chaos")
        agent = LongRefundDesk if run.scenario == "continued" else RefundDesk
        while True:
            try:
                handle = await self._agents.temporal.start_workflow(
                    agent.__name__, task, id=run.workflow_id, task_queue=queue_of(run), **options
                )
                assert handle.first_execution_run_id is not None
                return handle.first_execution_run_id
            except WorkflowAlreadyStartedError:
                # By an earlier try, whose answer was lost.
                with suppress(RPCError):
                    described = await self._agents.temporal.get_workflow_handle(run.workflow_id).describe()
                    return described.raw_description.workflow_execution_info.first_run_id
            except RPCError:
                pass
            await asyncio.sleep(_PAUSE)

    async def _last_run_id(self, run: PlannedRun) -> str:
        while True:
            with suppress(RPCError):
                return (
                    await self._agents.temporal.get_workflow_handle(run.workflow_id).describe()
                ).run_id or ""
            await asyncio.sleep(_PAUSE)

    async def _cancel(self, run: PlannedRun) -> None:
        if run.cancelled_after is None:
            return
        await asyncio.sleep(run.cancelled_after)
        # While the server is down nobody can cancel anything.
        with suppress(RPCError):
            await self._agents.cancel(run.workflow_id)

    async def _terminate(self, run: PlannedRun) -> None:
        while True:
            try:
                await self._agents.temporal.get_workflow_handle(run.workflow_id).terminate("by chaos")
                return
            except RPCError as error:
                if error.status == RPCStatusCode.NOT_FOUND:
                    return  # it has ended, or an earlier try has done it
            await asyncio.sleep(_PAUSE)

    async def _reset_to(self, run: PlannedRun, run_id: str, chance: random.Random) -> str:
        """Reset an execution to the end of one of its workflow tasks; the new one's run id."""
        handle = self._agents.temporal.get_workflow_handle(run.workflow_id, run_id=run_id)
        request_id = str(uuid4())
        while True:
            with suppress(RPCError):
                done = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
                tasks = [
                    event.event_id
                    async for event in handle.fetch_history_events()
                    if event.event_type == done
                ]
                if tasks:
                    answered = await self._agents.temporal.workflow_service.reset_workflow_execution(
                        ResetWorkflowExecutionRequest(
                            namespace=NAMESPACE,
                            workflow_execution=WorkflowExecution(workflow_id=run.workflow_id, run_id=run_id),
                            reason="chaos",
                            workflow_task_finish_event_id=chance.choice(tasks),
                            request_id=request_id,
                        )
                    )
                    return answered.run_id
            await asyncio.sleep(_PAUSE)

    async def _outcome(
        self, run: PlannedRun, run_id: str, *, follow: bool = True
    ) -> AgentOutcome[RefundReport]:
        """What a run ends with, through all that it continues as."""
        handle = self._agents.temporal.get_workflow_handle(
            run.workflow_id, run_id=run_id, result_type=AgentOutcome[RefundReport]
        )
        while True:
            try:
                return await handle.result(follow_runs=follow)
            except RPCError as error:
                if error.status == RPCStatusCode.NOT_FOUND:
                    raise
            await asyncio.sleep(_PAUSE)

    async def _close(self, run: PlannedRun, execution: Execution, closed: HistoryEvent) -> None:
        """Note how an execution was closed: with its outcome, or terminated."""
        match closed.event_type:
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:
                execution.fate = "stopped"
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
                # So a server ends an execution of a cron schedule; the next one is told its result.
                result = closed.workflow_execution_continued_as_new_event_attributes.last_completion_result
                converter = self._agents.temporal.data_converter
                (outcome,) = await converter.decode(result.payloads, [AgentOutcome[RefundReport]])
                execution.end(outcome)
            case _:
                execution.end(await self._outcome(run, execution.chain, follow=False))

    async def _closed(self, run: PlannedRun, run_id: str) -> HistoryEvent:
        handle = self._agents.temporal.get_workflow_handle(run.workflow_id, run_id=run_id)
        closing = WorkflowHistoryEventFilterType.CLOSE_EVENT
        while True:
            with suppress(RPCError):
                async for event in handle.fetch_history_events(
                    wait_new_event=True, event_filter_type=closing, skip_archival=True
                ):
                    return event
            await asyncio.sleep(_PAUSE)


def _next_run_id(closed: HistoryEvent) -> str:
    """The execution that a cron schedule made after one; empty if it made none."""
    return (
        closed.workflow_execution_completed_event_attributes.new_execution_run_id
        or closed.workflow_execution_continued_as_new_event_attributes.new_execution_run_id
        or closed.workflow_execution_failed_event_attributes.new_execution_run_id
    )
