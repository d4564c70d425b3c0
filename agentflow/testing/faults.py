"""Faults at named points of a run: raise, stall, or kill the process there, and see what becomes of the run.

    before_intend       the ledger is about to record that an attempt takes a write into its hands
    after_intend        it has recorded that; the tool has not been called
    after_effect        the tool has ended; the ledger is about to record how (done or failed)
    after_done          it has recorded that
    before_completion   an activity has its result; Temporal has not heard of it
    in_workflow_task    a workflow task is about to schedule an activity
    after_model_answer  the model has answered; nothing has kept the answer yet

All of them are put in from outside, around the ledger, the model client and the worker: there is no hook
in the code that they test. Give a worker what the plan wraps, and run it in a process of its own if it is
to be killed::

    plan = FaultPlan((Fault("after_effect", Kill(), tools={"refund_order"}),))
    plugin = AgentflowPlugin(
        models=registry,
        model_client=plan.model(client),
        tools=tools,
        ledger=plan.ledger(SQLiteLedger(path)),
        tier="dev",
    )
    client = await Client.connect(address, plugins=[plugin])
    async with Worker(client, task_queue=queue, workflows=[Support], interceptors=[plan.interceptor()]):
        ...

The first refund is made and the worker dies before that is recorded: another worker has to find out. What a
fault point doesn't reach is tested by killing the process at a random moment.
"""

import asyncio
import os
import random
import signal
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from temporalio import activity, workflow
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    ExecuteWorkflowInput,
    Interceptor,
    StartActivityInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

from agentflow.contracts.effects import EffectPage, EffectQuery, EffectRecord, StoredEffect
from agentflow.contracts.ledger import Adoption, LedgerIdentity
from agentflow.contracts.model import ModelAnswer, ModelCall
from agentflow.contracts.purges import MAX_PURGES, Purge
from agentflow.contracts.stops import Stop
from agentflow.contracts.wire import Sha256
from agentflow.ports.ledger import EffectLedger
from agentflow.ports.model import ModelClient

FaultPoint = Literal[
    "before_intend",
    "after_intend",
    "after_effect",
    "after_done",
    "before_completion",
    "in_workflow_task",
    "after_model_answer",
]
"""Where a fault can be; the module's docstring says what has happened there and what has not."""

FAULT_POINTS: tuple[FaultPoint, ...] = get_args(FaultPoint)
"""All of them, in the order in which a write passes them for the first time."""


@dataclass(frozen=True)
class Raise:
    """Raise an error, as the wrapped part might: ``LedgerError`` around the ledger, for example.

    In a workflow task it fails the task, which Temporal tries again, whatever the error is: the run does
    not get to see it.
    """

    error: Exception


@dataclass(frozen=True)
class Stall:
    """Wait. In a workflow task the worker's thread is blocked; Temporal calls two seconds a deadlock."""

    duration: timedelta
    freezes: bool = False
    """Whether the event loop stands still as well, heartbeats included, like that of a process that is
    swapped out or whose machine is paused: others take it for dead, and then it goes on."""


@dataclass(frozen=True)
class Kill:
    """Kill this process with SIGKILL, so that nothing in it can clean up or say goodbye."""


FaultAction = Raise | Stall | Kill


@dataclass(frozen=True)
class Fault:
    """What goes wrong, where, and when.

    A passage is one time that this process comes through the point, with one of the ``tools``.
    """

    at: FaultPoint
    action: FaultAction
    tools: Collection[str] = frozenset()
    """Names of tools, or of other activities (``chat``) at ``before_completion`` and ``in_workflow_task``.
    Empty is any. Must be empty at ``after_model_answer``."""
    passage: int | None = None
    """The passage at which it happens, from 1; the first one unless there is a ``probability``."""
    probability: float | None = None
    """How likely it is at each passage, from 0 to 1, in place of ``passage``."""
    replaying: bool = False
    """Whether ``in_workflow_task`` also counts what a workflow task only repeats from history."""

    def __post_init__(self) -> None:
        if self.passage is not None and self.probability is not None:
            raise ValueError("a fault has a passage or a probability, not both")
        if self.passage is not None and self.passage < 1:
            raise ValueError(f"passages are counted from 1; {self.passage} is none")
        if self.probability is not None and not 0 <= self.probability <= 1:
            raise ValueError(f"a probability is from 0 to 1; {self.probability} is not")
        if isinstance(self.tools, str):
            raise ValueError(f"tools is a collection of names: write tools={{{self.tools!r}}}")
        if self.tools and self.at == "after_model_answer":
            raise ValueError("no tool is at work when a model answers: leave tools out")
        if self.replaying and self.at != "in_workflow_task":
            raise ValueError(f"nothing is replayed at {self.at}: leave replaying out")


@dataclass
class _Counts:
    """What a process has passed. Workflow tasks and activities run in different threads."""

    passages: dict[int, int] = field(default_factory=dict[int, int])
    fired: list[Fault] = field(default_factory=list[Fault])
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class FaultPlan:
    """The faults of one process. The same seed and the same passages give the same faults.

    Passages are counted for each fault by itself, over everything that this plan wraps.
    """

    faults: tuple[Fault, ...] = ()
    """Of several that are due at once, all happen, in this order."""
    seed: int = 0
    """For faults with a probability."""
    _counts: _Counts = field(default_factory=_Counts, init=False, repr=False, compare=False)

    @property
    def fired(self) -> tuple[Fault, ...]:
        """The faults that have happened in this process, in their order."""
        return tuple(self._counts.fired)

    def ledger(self, ledger: EffectLedger) -> EffectLedger:
        """A ledger with the points around a write.

        An intent is the first record that an attempt writes for a call: its insert, or its take-over of what
        an earlier attempt left. Renewing a lease is none. An error raised after a record was written is an
        answer that got lost.
        """
        return _FaultyLedger(self, ledger)

    def model(self, client: ModelClient) -> ModelClient:
        """A model client with the point ``after_model_answer``."""
        return _FaultyModel(self, client)

    def interceptor(self) -> Interceptor:
        """For ``Worker(interceptors=[...])``: the points ``before_completion`` and ``in_workflow_task``.

        Local activities are left out: their results are part of a workflow task.
        """
        return _FaultInterceptor(self)

    async def pass_by(self, point: FaultPoint, name: str = "") -> None:
        """Come through a point: for decorators of your own, around other parts.

        Args:
            point: Which.
            name: Of the tool.

        Raises:
            Exception: that of a ``Raise`` that is due.
        """
        for action in self.due(point, name):
            match action:
                case Raise(error):
                    raise error
                case Stall(duration, freezes=True):
                    time.sleep(duration.total_seconds())  # noqa: ASYNC251 - that is the fault
                case Stall(duration):
                    await asyncio.sleep(duration.total_seconds())
                case Kill():
                    _kill()

    def due(self, point: FaultPoint, name: str = "", *, replaying: bool = False) -> tuple[FaultAction, ...]:
        """Count a passage of a point, and say what is to happen there.

        Args:
            point: Which.
            name: Of the tool.
            replaying: Whether a workflow task only repeats history.
        """
        due: list[Fault] = []
        with self._counts.lock:
            for number, fault in enumerate(self.faults):
                passes = fault.at == point and (not fault.tools or name in fault.tools)
                if not passes or (replaying and not fault.replaying):
                    continue
                passage = self._counts.passages.get(number, 0) + 1
                self._counts.passages[number] = passage
                if self._happens(number, fault, passage):
                    due.append(fault)
            self._counts.fired += due
        return tuple(fault.action for fault in due)

    def _happens(self, number: int, fault: Fault, passage: int) -> bool:
        if fault.probability is None:
            return passage == (fault.passage or 1)
        # By the passage's number, not from one stream: threads may come through in any order.
        return random.Random(f"{self.seed}/{number}/{passage}").random() < fault.probability  # noqa: S311


def _kill() -> None:
    # Windows has no SIGKILL; any signal ends the process there at once.
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


class _FaultyLedger:
    """Fulfils ``EffectLedger`` around another one."""

    def __init__(self, plan: FaultPlan, ledger: EffectLedger) -> None:
        self._plan = plan
        self._ledger = ledger
        self._holders: dict[Sha256, str] = {}

    def __repr__(self) -> str:
        return repr(self._ledger)

    async def check(self) -> None:
        await self._ledger.check()

    async def identity(self) -> LedgerIdentity:
        return await self._ledger.identity()

    async def adopt(self, adoption: Adoption) -> LedgerIdentity:
        return await self._ledger.adopt(adoption)

    async def insert(self, record: EffectRecord) -> bool:
        await self._before(record)
        return await self._after(record, await self._ledger.insert(record))

    async def get(self, key: Sha256) -> StoredEffect | None:
        return await self._ledger.get(key)

    async def replace(self, record: EffectRecord, *, version: int) -> bool:
        await self._before(record)
        return await self._after(record, await self._ledger.replace(record, version=version))

    async def of_work(self, work: Sha256) -> tuple[StoredEffect, ...]:
        return await self._ledger.of_work(work)

    async def find(self, query: EffectQuery, *, limit: int = 100, cursor: str | None = None) -> EffectPage:
        return await self._ledger.find(query, limit=limit, cursor=cursor)

    async def clock(self) -> datetime:
        return await self._ledger.clock()

    async def forget(self, versions: Mapping[Sha256, int]) -> int:
        return await self._ledger.forget(versions)

    async def forget_stops(self, namespace: str, before: datetime) -> int:
        return await self._ledger.forget_stops(namespace, before)

    async def keep_purge(self, purge: Purge) -> None:
        await self._ledger.keep_purge(purge)

    async def purges(self, *, limit: int = MAX_PURGES) -> tuple[Purge, ...]:
        return await self._ledger.purges(limit=limit)

    async def stops(self, namespace: str) -> tuple[Stop, ...]:
        return await self._ledger.stops(namespace)

    async def stop(self, namespace: str, key: str, *, by: str, reason: str = "") -> bool:
        return await self._ledger.stop(namespace, key, by=by, reason=reason)

    async def lift(self, namespace: str, key: str, *, by: str, reason: str = "") -> bool:
        return await self._ledger.lift(namespace, key, by=by, reason=reason)

    async def stops_log(self, namespace: str, *, limit: int = 100) -> tuple[Stop, ...]:
        return await self._ledger.stops_log(namespace, limit=limit)

    async def close(self) -> None:
        await self._ledger.close()

    async def _before(self, record: EffectRecord) -> None:
        if self._is_intent(record):
            await self._plan.pass_by("before_intend", record.tool)
        elif record.state in ("done", "failed"):
            await self._plan.pass_by("after_effect", record.tool)

    async def _after(self, record: EffectRecord, written: bool) -> bool:
        if not written:
            return False
        if self._is_intent(record):
            self._holders[record.key] = record.owner
            await self._plan.pass_by("after_intend", record.tool)
        elif record.state in ("done", "failed"):
            await self._plan.pass_by("after_done", record.tool)
        return True

    def _is_intent(self, record: EffectRecord) -> bool:
        return record.state == "intended" and self._holders.get(record.key) != record.owner


class _FaultyModel:
    """Fulfils ``ModelClient`` around another one."""

    def __init__(self, plan: FaultPlan, client: ModelClient) -> None:
        self._plan = plan
        self._client = client

    async def chat(self, call: ModelCall) -> ModelAnswer:
        answer = await self._client.chat(call)
        await self._plan.pass_by("after_model_answer")
        return answer


class _WorkflowTaskFault(BaseException):
    """Carries an error out of the workflow's code past everything there that catches an ``Exception``."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class _FaultInterceptor(Interceptor):
    def __init__(self, plan: FaultPlan) -> None:
        self._plan = plan

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _FaultyActivities(next, self._plan)

    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor] | None:
        plan = self._plan

        # Temporal makes one object a run, in its sandbox, of a class that takes nothing else: the plan, which
        # belongs to the process, comes with the class.
        class OfThisPlan(_FaultyWorkflow):
            def __init__(self, next: WorkflowInboundInterceptor) -> None:
                super().__init__(next, plan)

        return OfThisPlan


class _FaultyActivities(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, plan: FaultPlan) -> None:
        super().__init__(next)
        self._plan = plan

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        result = await super().execute_activity(input)
        info = activity.info()
        if not info.is_local:
            await self._plan.pass_by("before_completion", info.activity_type)
        return result


class _FaultyWorkflow(WorkflowInboundInterceptor):
    def __init__(self, next: WorkflowInboundInterceptor, plan: FaultPlan) -> None:
        super().__init__(next)
        self._plan = plan

    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(_FaultyScheduling(outbound, self._plan))

    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
        try:
            return await super().execute_workflow(input)
        except _WorkflowTaskFault as fault:
            # Not the error itself: of a type that fails workflows, it would end the run.
            text = f"{type(fault.error).__name__}: {fault.error}"
            raise RuntimeError(f"a fault in the workflow task: {text}") from fault.error


class _FaultyScheduling(WorkflowOutboundInterceptor):
    def __init__(self, next: WorkflowOutboundInterceptor, plan: FaultPlan) -> None:
        super().__init__(next)
        self._plan = plan

    def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[Any]:
        replaying = workflow.unsafe.is_replaying()
        for action in self._plan.due("in_workflow_task", input.activity, replaying=replaying):
            match action:
                case Raise(error):
                    raise _WorkflowTaskFault(error)
                case Stall(duration):
                    time.sleep(duration.total_seconds())
                case Kill():
                    _kill()
        return super().start_activity(input)
