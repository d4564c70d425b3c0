"""Faults happen where the plan says, to real parts: Temporal, a SQLite ledger, worker processes."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from agentflow import AgentClient, AgentflowError, AgentOutcome, AgentTask, tools_of
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.effects import EffectQuery, EffectRecord
from agentflow.contracts.wire import Sha256, ToolCallId
from agentflow.errors import LedgerError, ModelUnavailableError
from agentflow.testing import (
    FAULT_POINTS,
    Fault,
    FaultPlan,
    FaultPoint,
    Kill,
    Raise,
    ScriptedModel,
    Stall,
    answer,
    call,
    scripted_plugin,
)
from tests.forked import forked
from tests.testing import faulty_worker
from tests.workflow.agents import Banker
from tests.workflow.tools import Bank

DONE = answer({"account": "alice", "amount": "10.00"})
SCRIPT = [call("pay", account="alice", amount="10.00"), DONE]
GONE = LedgerError("the ledger is gone")


class Stage:
    """A worker whose parts are wrapped by a plan."""

    def __init__(self, agents: AgentClient, bank: Bank, model: ScriptedModel, queue: str) -> None:
        self.agents = agents
        self.bank = bank
        self.model = model
        self._queue = queue

    async def run(self) -> tuple[AgentOutcome[Any], WorkflowHandle[Any, Any]]:
        task = AgentTask(input="pay", requested_by="rita")
        workflow_id = await self.agents.start(Banker, task, task_queue=self._queue)
        handle = self.agents.temporal.get_workflow_handle(workflow_id, result_type=AgentOutcome[Any])
        async with asyncio.timeout(30):
            return await handle.result(), handle


@asynccontextmanager
async def staged(
    environment: WorkflowEnvironment, directory: Path, plan: FaultPlan, **settings: Any
) -> AsyncIterator[Stage]:
    bank, model, queue = Bank(), ScriptedModel(SCRIPT), f"faults-{uuid4()}"
    ledger = SQLiteLedger(directory / "ledger.sqlite")
    plugin = scripted_plugin(plan.model(model), tools=tools_of(bank), ledger=plan.ledger(ledger))
    client = await environment.connect_client(plugins=[plugin])
    async with Worker(
        client, task_queue=queue, workflows=[Banker], interceptors=[plan.interceptor()], **settings
    ):
        yield Stage(AgentClient(client), bank, model, queue)
    await ledger.close()


def events(history: Any, kind: "EventType.ValueType") -> int:
    return sum(event.event_type == kind for event in history.events)


# An error of each point's own, and how the run gets over it.


@pytest.mark.parametrize("point", ["before_intend", "after_intend", "after_effect", "after_done"])
async def test_an_error_around_the_ledger_is_met_by_another_try(
    temporal: WorkflowEnvironment, tmp_path: Path, point: FaultPoint
) -> None:
    plan = FaultPlan((Fault(point, Raise(GONE), tools={"pay"}),))
    async with staged(temporal, tmp_path, plan) as stage:
        outcome, _ = await stage.run()
    assert plan.fired == plan.faults
    assert outcome.status == "completed"
    assert stage.bank.paid == [("alice", "10.00")]


async def test_an_error_before_completion_costs_the_attempt_and_the_ledger_answers_the_next(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    plan = FaultPlan((Fault("before_completion", Raise(RuntimeError("lost on the way")), tools={"pay"}),))
    async with staged(temporal, tmp_path, plan) as stage:
        outcome, handle = await stage.run()
    assert plan.fired == plan.faults
    assert outcome.status == "completed"
    assert stage.bank.paid == [("alice", "10.00")]
    started = [
        event.activity_task_started_event_attributes
        for event in (await handle.fetch_history()).events
        if event.HasField("activity_task_started_event_attributes")
    ]
    assert any(one.attempt == 2 and "lost on the way" in one.last_failure.message for one in started)


async def test_an_error_in_a_workflow_task_fails_the_task_and_not_the_run(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    # As a plain exception in the workflow's code, an AgentflowError would end the run.
    plan = FaultPlan((Fault("in_workflow_task", Raise(AgentflowError("no more")), tools={"pay"}),))
    async with staged(temporal, tmp_path, plan) as stage:
        outcome, handle = await stage.run()
    assert plan.fired == plan.faults
    assert outcome.status == "completed"
    assert events(await handle.fetch_history(), EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED) == 1


async def test_an_error_after_a_models_answer_asks_the_model_again(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    plan = FaultPlan((Fault("after_model_answer", Raise(ModelUnavailableError("cut off"))),))
    async with staged(temporal, tmp_path, plan) as stage:
        outcome, _ = await stage.run()
    assert plan.fired == plan.faults
    assert outcome.status == "completed"
    assert len(stage.model.requests) == len(SCRIPT) + 1


@pytest.mark.parametrize("point", FAULT_POINTS)
async def test_a_stall_holds_the_run_up_and_does_no_harm(
    temporal: WorkflowEnvironment, tmp_path: Path, point: FaultPoint
) -> None:
    plan = FaultPlan((Fault(point, Stall(timedelta(seconds=0.5))),))
    async with staged(temporal, tmp_path, plan) as stage:
        began = asyncio.get_running_loop().time()
        outcome, _ = await stage.run()
        took = asyncio.get_running_loop().time() - began
    assert plan.fired == plan.faults
    assert took >= 0.5
    assert outcome.status == "completed"
    assert stage.bank.paid == [("alice", "10.00")]


class Duo:
    """A run that two workers take turns at: one with a fault in a process of its own, then one here."""

    def __init__(self, environment: WorkflowEnvironment, directory: Path, tool_name: str) -> None:
        self._environment = environment
        self._address = environment.client.service_client.config.target_host
        self._queue = f"faults-{uuid4()}"
        self._directory = directory
        self._tool = tool_name

    @contextmanager
    def faulty(self, point: FaultPoint, action: str) -> Iterator[ForkServerProcess]:
        process = forked(
            faulty_worker.run, self._address, self._queue, self._directory, self._tool, point, action
        )
        try:
            yield process
        finally:
            process.kill()
            process.join()

    async def start(self) -> WorkflowHandle[Any, AgentOutcome[str]]:
        client = await self._environment.connect_client(plugins=[scripted_plugin(ScriptedModel([]))])
        return await client.start_workflow(
            faulty_worker.Cashier.run,
            AgentTask(input="pay", requested_by="rita"),
            id=f"faults-{uuid4()}",
            task_queue=self._queue,
            task_timeout=timedelta(seconds=2),
        )

    @asynccontextmanager
    async def sound(self) -> AsyncIterator[None]:
        serving = asyncio.create_task(
            faulty_worker.serve(self._address, self._queue, self._directory, self._tool, FaultPlan())
        )
        try:
            yield
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    async def intent(self) -> None:
        """Wait until an attempt has recorded that it is about to pay."""
        ledger = SQLiteLedger(self._directory / "ledger.sqlite")
        async with asyncio.timeout(30):
            while not (await ledger.find(EffectQuery(only_open=True))).effects:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)
        await ledger.close()

    @property
    def paid(self) -> list[str]:
        return faulty_worker.Till(self._directory / "books.txt").paid


@pytest.mark.slow
@pytest.mark.parametrize("point", FAULT_POINTS)
async def test_a_worker_that_is_killed_at_a_point_is_replaced_and_the_payment_is_made_once(
    temporal: WorkflowEnvironment, tmp_path: Path, point: FaultPoint
) -> None:
    duo = Duo(temporal, tmp_path, "pay_out")
    with duo.faulty(point, "kill") as doomed:
        async with asyncio.timeout(60):
            run = await duo.start()
            await asyncio.to_thread(doomed.join, 60)
            assert doomed.exitcode == -signal.SIGKILL
            async with duo.sound():
                assert (await run.result()).status == "completed"
    assert len(duo.paid) == 1


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["pay_out_once", "hand_out"])
async def test_however_many_workers_die_in_a_write_that_may_be_repeated_it_is_made_and_nobody_is_asked(
    temporal: WorkflowEnvironment, tmp_path: Path, tool: str
) -> None:
    duo = Duo(temporal, tmp_path, tool)
    run: WorkflowHandle[Any, Any] | None = None
    async with asyncio.timeout(120):
        for point in ("after_intend", "after_intend", "after_effect"):
            with duo.faulty(point, "kill") as doomed:
                run = run or await duo.start()
                await asyncio.to_thread(doomed.join, 60)
                assert doomed.exitcode == -signal.SIGKILL
        async with duo.sound():
            assert run is not None
            outcome = await run.result()
    assert (outcome.status, outcome.tool_calls[0].effect) == ("completed", "done")
    assert len(duo.paid) == 1


@pytest.mark.slow
async def test_a_worker_that_freezes_before_it_pays_does_not_pay_when_its_lease_is_over(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    duo = Duo(temporal, tmp_path, "hand_out")
    with duo.faulty("after_intend", "9"):
        async with asyncio.timeout(60):
            run = await duo.start()
            await duo.intent()
            async with duo.sound():
                assert (await run.result()).status == "completed"
            assert len(duo.paid) == 1
            # The frozen worker wakes up, in the middle of its attempt.
            await asyncio.sleep(9)
            assert len(duo.paid) == 1


async def test_what_a_workflow_task_repeats_from_history_is_no_passage(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    plan = FaultPlan((Fault("in_workflow_task", Raise(AgentflowError("again")), tools={"pay"}, passage=2),))
    # Without a cache, each workflow task repeats the run from its start.
    async with staged(temporal, tmp_path, plan, max_cached_workflows=0) as stage:
        outcome, _ = await stage.run()
    assert plan.fired == ()
    assert outcome.status == "completed"


async def test_what_a_workflow_task_repeats_is_a_passage_where_the_fault_says_so(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> None:
    fault = Fault(
        "in_workflow_task", Raise(AgentflowError("again")), tools={"pay"}, passage=2, replaying=True
    )
    plan = FaultPlan((fault,))
    async with staged(temporal, tmp_path, plan, max_cached_workflows=0) as stage:
        outcome, _ = await stage.run()
    assert plan.fired == (fault,)
    assert outcome.status == "completed"


# What a passage is.


def record(**changes: Any) -> EffectRecord:
    values: dict[str, Any] = {
        "key": Sha256("a" * 64),
        "namespace": "default",
        "workflow_id": "w",
        "run_id": "r",
        "tool": "pay",
        "tool_call_id": ToolCallId("call_1"),
        "arguments_hash": Sha256("b" * 64),
        "owner": "first",
        "lease": timedelta(seconds=10),
    }
    return EffectRecord(**{**values, **changes})


async def test_a_take_over_is_an_intent_and_a_renewal_is_none(tmp_path: Path) -> None:
    plan = FaultPlan((Fault("after_intend", Raise(GONE), passage=2),))
    ledger = plan.ledger(SQLiteLedger(tmp_path / "ledger.sqlite"))
    assert await ledger.insert(record())
    assert await ledger.replace(record(lease=timedelta(seconds=20)), version=1)
    with pytest.raises(LedgerError):
        await ledger.replace(record(owner="second"), version=2)
    stored = await ledger.get(record().key)
    assert stored
    # It was written: the fault is after it.
    assert stored.record.owner == "second"
    await ledger.close()


async def test_a_write_that_lost_the_race_is_not_after_anything(tmp_path: Path) -> None:
    plan = FaultPlan((Fault("after_intend", Raise(GONE), passage=2), Fault("after_done", Raise(GONE))))
    ledger = plan.ledger(SQLiteLedger(tmp_path / "ledger.sqlite"))
    assert await ledger.insert(record())
    assert not await ledger.insert(record(owner="second"))
    assert not await ledger.replace(record(state="done", result="{}"), version=7)
    assert plan.fired == ()
    await ledger.close()


async def test_a_fault_counts_only_passages_with_its_tools() -> None:
    plan = FaultPlan((Fault("after_effect", Raise(GONE), tools={"refund"}, passage=2),))
    for name in ("pay", "refund", "pay"):
        await plan.pass_by("after_effect", name)
    with pytest.raises(LedgerError):
        await plan.pass_by("after_effect", "refund")
    await plan.pass_by("after_effect", "refund")


async def test_the_same_seed_gives_the_same_faults() -> None:
    async def pattern(seed: int) -> list[int]:
        plan = FaultPlan((Fault("after_done", Stall(timedelta(0)), probability=0.3),), seed=seed)
        return [len(plan.due("after_done", "pay")) for _ in range(200)]

    assert await pattern(1) == await pattern(1)
    assert await pattern(1) != await pattern(2)
    assert 30 <= sum(await pattern(1)) <= 90


async def test_all_faults_that_are_due_happen_in_their_order() -> None:
    plan = FaultPlan((Fault("after_done", Stall(timedelta(seconds=0.1))), Fault("after_done", Raise(GONE))))
    began = asyncio.get_running_loop().time()
    with pytest.raises(LedgerError):
        await plan.pass_by("after_done", "pay")
    assert asyncio.get_running_loop().time() - began >= 0.1
    assert plan.fired == plan.faults


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"at": "after_done", "passage": 0}, "counted from 1"),
        ({"at": "after_done", "probability": 1.5}, "from 0 to 1"),
        ({"at": "after_done", "passage": 1, "probability": 0.5}, "not both"),
        ({"at": "after_done", "tools": "refund"}, "write tools="),
        ({"at": "after_model_answer", "tools": {"refund"}}, "leave tools out"),
        ({"at": "after_done", "replaying": True}, "leave replaying out"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Fault(action=Kill(), **wrong)
