"""What a run kept to itself, worked out anew: its own code, replayed on its own history.

A run's decisions on signals, and its purse, are not events. They follow from the events and the code, which
is what a replay is.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self, cast

from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.runtime import Runtime
from temporalio.worker import (
    ExecuteWorkflowInput,
    Interceptor,
    Replayer,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowReplayResult,
)

from agentflow.adapters.history.finding import Finding, told
from agentflow.contracts.rules import DecisionRecord
from agentflow.contracts.wire import Json
from agentflow.core.budget import Purse
from agentflow.core.known_values import KnownValues
from agentflow.plugin import AgentflowPlugin
from agentflow.workflow.agent import AgentWorkflow
from agentflow.workflow.definition import workflow_type_of


class ReplayedRuns:
    """Replays executions and keeps what their runs told. Enter it: one worker replays them all."""

    def __init__(
        self,
        agents: Sequence[type],
        namespace: str,
        *,
        plugin: AgentflowPlugin | None = None,
        runtime: Runtime | None = None,
    ) -> None:
        """Prepare.

        Args:
            agents: Workflow classes.
            namespace: That the runs were in.
            plugin: Of a client that can read the runs' payloads.
            runtime: Temporal's; by default the process's own.
        """
        self._interceptor = _Watching()
        self._histories: asyncio.Queue[WorkflowHistory] = asyncio.Queue()
        self._results: AsyncIterator[WorkflowReplayResult] | None = None
        self._stack = AsyncExitStack()
        self._known = {name for agent in agents if (name := workflow_type_of(agent))}
        self._replayer = (
            Replayer(
                workflows=list(agents),
                namespace=namespace,
                plugins=[plugin or AgentflowPlugin()],
                interceptors=[self._interceptor],
                runtime=runtime,
            )
            if agents
            else None
        )

    async def __aenter__(self) -> Self:
        if self._replayer is not None:
            replaying = self._replayer.workflow_replay_iterator(self._fed())
            self._results = await self._stack.enter_async_context(replaying)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._results = None
        await self._stack.aclose()

    async def _fed(self) -> AsyncIterator[WorkflowHistory]:
        while True:
            yield await self._histories.get()

    def knows(self, workflow_type: str) -> bool:
        """Whether an agent at hand has that workflow type."""
        return workflow_type in self._known

    async def told(self, run_id: str, history: WorkflowHistory) -> "Told":
        """What the run kept to itself in an execution.

        Args:
            run_id: The execution's.
            history: Its history.
        """
        assert self._results is not None  # nobody asks for what isn't known
        if not any(event.HasField("workflow_task_scheduled_event_attributes") for event in history.events):
            # It waits for its start, as between the executions of a cron. The replayer would wait for ever.
            return Told((), KnownValues(), None)
        self._interceptor.watched = watched = _Watched(run_id)
        self._histories.put_nowait(history)
        replay = await anext(self._results)
        known = watched.agent.known_values if watched.agent else KnownValues()
        lacks = watched.agent.lacks if watched.agent else ()
        return Told(tuple(watched.findings), known, replay.replay_failure, lacks)


@dataclass(frozen=True)
class Told:
    """What a replay told."""

    findings: tuple[Finding, ...]
    """What the run decided and spent."""
    known: KnownValues
    """Values that types mark as personal or secret."""
    failure: Exception | None
    """Why today's code isn't what the run ran on; then nothing that it told can be believed."""
    lacks: tuple[str, ...] = ()
    """What the run is pinned to and today's code doesn't have."""


class _Watched:
    """The witness of one execution."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self.findings: list[Finding] = []
        self.agent: AgentWorkflow[Any, Any] | None = None

    def decided(self, record: DecisionRecord) -> None:
        finding = self._found("decision", datetime.fromisoformat(record.at))
        facts = record.model_dump(mode="json", exclude={"detail", "at"}, exclude_none=True)
        finding.facts = facts
        finding.contents = told(detail=record.detail)

    def spent(self, before: Purse, after: Purse) -> None:
        for name, spend in after.reservations.items():
            if name not in before.reservations:
                self._moved("reserved", name, spend.model_dump(mode="json"), after)
        for name in before.reservations:
            if name not in after.reservations:
                settled = after.settled.model_dump(mode="json")
                self._moved("settled", name, settled, after)

    def _moved(self, how: str, name: str, spend: dict[str, Json], after: Purse) -> None:
        finding = self._found("budget", workflow.now())
        uncertain = after.possibly_billed_usd
        finding.facts = {
            "movement": how,
            "name": name,
            ("amount" if how == "reserved" else "settled_in_all"): spend,
            "settled_usd": str(after.settled.cost_usd),
            "reserved_usd": str(after.reserved.cost_usd),
            **told(
                limit_usd=None if after.budget.cost_usd is None else str(after.budget.cost_usd),
                possibly_billed_usd=str(uncertain) if uncertain else None,
            ),
        }

    def _found(self, kind: Any, at: datetime) -> Finding:
        event = workflow.info().get_current_history_length()
        finding = Finding(kind, at, self._run_id, event, source="replay")
        self.findings.append(finding)
        return finding


class _Watching(Interceptor):
    """Puts the witness into each run as it begins."""

    def __init__(self) -> None:
        self.watched: _Watched | None = None

    def watch(self, agent: AgentWorkflow[Any, Any]) -> None:
        agent.witnessed_by(self.watched)
        if self.watched is not None:
            self.watched.agent = agent

    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor]:
        outer = self

        class Inbound(WorkflowInboundInterceptor):
            async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
                instance = workflow.instance()
                if isinstance(instance, AgentWorkflow):
                    outer.watch(cast(AgentWorkflow[Any, Any], instance))
                return await self.next.execute_workflow(input)

        return Inbound
