"""What a ledger may forget: by clocks that agree, in bounded rounds, never what a run may come back to."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import structlog
from temporalio import activity, workflow
from temporalio.client import Client, WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from agentflow.adapters import ledger_purge, sqlite_ledger
from agentflow.adapters.ledger_purge import LedgerPurge
from agentflow.adapters.temporal_facts import server_time
from agentflow.contracts.effects import EffectQuery, EffectRecord
from agentflow.contracts.purges import Purge
from agentflow.contracts.wire import sha256_of
from agentflow.errors import ConfigurationError
from agentflow.ports.ledger import EffectLedger
from agentflow.testing import MemoryLedger
from tests.adapters.ledger_places import Place, SQLitePlace, record

RETENTION = timedelta(days=400)
DAY = timedelta(days=1)
LONG = RETENTION + DAY


@workflow.defn(sandboxed=False)
class Waiting:
    """Is open until it is told to end."""

    def __init__(self) -> None:
        self._is_over = False

    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: self._is_over)

    @workflow.signal
    def end(self) -> None:
        self._is_over = True


@activity.defn
async def nothing() -> None:
    """So that the worker polls for activities too."""


@dataclass
class Fleet:
    """A worker that polls, and the clock that it believes in."""

    client: Client
    task_queue: str
    off_by: timedelta = timedelta(0)
    handles: list[WorkflowHandle[Any, Any]] = field(default_factory=list[WorkflowHandle[Any, Any]])

    def purge(self, ledger: EffectLedger, retention: timedelta = RETENTION) -> LedgerPurge:
        return LedgerPurge(ledger, self.client, self.task_queue, retention, self.clock)

    def clock(self) -> datetime:
        return datetime.now(UTC) + self.off_by

    async def started(self) -> WorkflowHandle[Any, Any]:
        handle = await self.client.start_workflow(
            Waiting.run, id=f"run-{uuid4()}", task_queue=self.task_queue
        )
        self.handles.append(handle)
        return handle


@pytest.fixture
async def fleet(temporal: WorkflowEnvironment) -> AsyncIterator[Fleet]:
    fleet = Fleet(temporal.client, f"purge-{uuid4()}")
    async with Worker(
        temporal.client, task_queue=fleet.task_queue, workflows=[Waiting], activities=[nothing]
    ):
        while await server_time(fleet.client, fleet.task_queue) is None:
            pass  # each look is a request that takes its time
        yield fleet
        for handle in fleet.handles:
            await handle.signal(Waiting.end)


def of_run(handle: WorkflowHandle[Any, Any], number: int = 1, **changes: Any) -> EffectRecord:
    return record(
        number,
        **{
            "state": "done",
            "result": "{}",
            "workflow_id": handle.id,
            "run_id": handle.first_execution_run_id or "",
            **changes,
        },
    )


def of_nobody(number: int = 1, **changes: Any) -> EffectRecord:
    """Of a run whose history is gone."""
    return record(
        number, **{"state": "done", "workflow_id": f"gone-{uuid4()}", "run_id": str(uuid4()), **changes}
    )


async def left(ledger: EffectLedger) -> int:
    return len((await ledger.find(EffectQuery())).effects)


def memory_now() -> MemoryLedger:
    ledger = MemoryLedger()
    ledger.now = datetime.now(UTC)
    return ledger


def memory_then() -> MemoryLedger:
    """What is written to it is old once its clock is set to now."""
    ledger = MemoryLedger()
    ledger.now = datetime.now(UTC) - LONG
    return ledger


# ---------------------------------------------------------------- by which clock


async def test_a_pollers_last_access_tells_the_servers_time(fleet: Fleet) -> None:
    told = await server_time(fleet.client, fleet.task_queue)
    assert told is not None
    # The dev server goes by this machine's clock.
    assert datetime.now(UTC) - timedelta(minutes=2) < told <= datetime.now(UTC)


async def test_without_the_servers_time_nothing_is_forgotten_and_that_is_logged(
    temporal: WorkflowEnvironment,
) -> None:
    ledger = memory_then()
    await ledger.insert(of_nobody())
    ledger.now = datetime.now(UTC)
    with structlog.testing.capture_logs() as logs:
        assert await Fleet(temporal.client, f"nobody-{uuid4()}").purge(ledger).round() is None
    assert ["does not tell its time" in line["event"] for line in logs] == [True]
    assert await left(ledger) == 1


@pytest.mark.parametrize("days", [401, -401])
async def test_a_worker_whose_clock_is_401_days_off_forgets_nothing(
    sqlite: SQLitePlace, fleet: Fleet, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    ledger = sqlite.open()
    wire = await fleet.started()
    await ledger.insert(of_run(wire, 1, tool="wire"))
    await ledger.insert(of_nobody(2, tool="wire"))
    fleet.off_by = timedelta(days=days)
    # A SQLite ledger has no clock but its worker's.
    now_us = sqlite_ledger._now_us() + fleet.off_by // timedelta(microseconds=1)
    monkeypatch.setattr(sqlite_ledger, "_now_us", lambda: now_us)
    purge = await fleet.purge(ledger).round()
    assert await left(ledger) == 2
    # Behind, nothing is old by any clock; ahead, all of it is by one.
    assert bool(purge and purge.refused) is (days > 0)


async def test_clocks_that_differ_are_refused_as_an_error_with_what_each_says(fleet: Fleet) -> None:
    ledger = memory_now()
    await ledger.insert(of_nobody())
    fleet.off_by = LONG
    with structlog.testing.capture_logs() as logs:
        refusal = await fleet.purge(ledger).round()
    assert refusal is not None
    (error,) = [line for line in logs if line["log_level"] == "error"]
    ahead = (datetime.now(UTC) + LONG).date().isoformat()
    assert f"this worker's says {ahead}" in error["reason"] == refusal.refused
    assert "Temporal's clock says" in refusal.refused
    assert await ledger.purges() == (refusal,)


async def test_a_refusal_is_on_record_once_however_often_workers_start(fleet: Fleet) -> None:
    ledger = memory_now()
    await ledger.insert(of_nobody())
    fleet.off_by = LONG
    for _ in range(3):
        assert await fleet.purge(ledger).round() is not None
    assert len(await ledger.purges()) == 1


async def test_clocks_that_differ_where_nothing_is_old_are_no_error(fleet: Fleet) -> None:
    ledger = memory_now()
    await ledger.insert(of_nobody())
    fleet.off_by = timedelta(hours=2)
    assert await fleet.purge(ledger).round() is None
    assert await ledger.purges() == ()


async def test_a_store_whose_clock_is_ahead_forgets_nothing(fleet: Fleet) -> None:
    ledger = memory_now()
    await ledger.insert(of_nobody())
    ledger.advance(LONG)
    refusal = await fleet.purge(ledger).round()
    assert refusal is not None
    assert "the ledger's says" in refusal.refused
    assert await left(ledger) == 1


async def test_ages_count_to_the_earliest_of_the_clocks(fleet: Fleet) -> None:
    ledger = memory_now()
    ledger.now -= RETENTION - timedelta(minutes=15)
    await ledger.insert(of_nobody())
    ledger.now = datetime.now(UTC)
    fleet.off_by = timedelta(minutes=30)
    assert await fleet.purge(ledger).round() is None
    assert await left(ledger) == 1


# ---------------------------------------------------------------- what a run may need


async def old(ledger: MemoryLedger, *records: EffectRecord) -> None:
    """Keep records that are older than the retention."""
    ledger.now = datetime.now(UTC) - LONG
    for each in records:
        await ledger.insert(each)
    ledger.now = datetime.now(UTC)


async def test_what_has_ended_is_old_and_of_no_run_is_forgotten_on_record(place: Place, fleet: Fleet) -> None:
    ledger = place.open()
    if isinstance(ledger, MemoryLedger):
        ledger.now = datetime.now(UTC) - LONG
    for number, state in enumerate(("done", "failed", "intended", "unknown"), start=1):
        await ledger.insert(of_nobody(number, state=state))
    await ledger.stop("default", "fleet", by="olga")
    await place.let_pass(LONG)
    await ledger.insert(of_nobody(5))
    purge = await fleet.purge(ledger).round()
    assert purge is not None
    assert (purge.forgotten, purge.kept, purge.by, purge.refused) == (2, 0, fleet.client.identity, "")
    assert RETENTION <= datetime.now(UTC) - purge.before < RETENTION + timedelta(minutes=10)
    assert await ledger.purges() == (purge,)
    tools = (await ledger.find(EffectQuery())).effects
    assert {each.record.key for each in tools} == {sha256_of(number) for number in (3, 4, 5)}
    assert [stop.key for stop in await ledger.stops("default")] == ["fleet"]


async def test_the_records_of_an_open_run_are_kept_however_old(fleet: Fleet) -> None:
    ledger, run = memory_now(), await fleet.started()
    await old(ledger, of_run(run))
    assert await fleet.purge(ledger).round() is None
    assert await left(ledger) == 1


async def test_a_run_that_closed_lately_keeps_its_records(fleet: Fleet) -> None:
    ledger, run = memory_now(), await fleet.started()
    await old(ledger, of_run(run))
    await run.signal(Waiting.end)
    await run.result()
    fleet.handles.clear()
    assert await fleet.purge(ledger).round() is None
    assert await left(ledger) == 1


async def test_an_open_run_keeps_the_records_of_earlier_runs_of_its_workflow_id(fleet: Fleet) -> None:
    ledger, run = memory_now(), await fleet.started()
    await old(ledger, of_run(run, run_id=str(uuid4())))
    assert await fleet.purge(ledger).round() is None
    assert await left(ledger) == 1


async def test_a_workflow_id_that_is_used_again_keeps_no_old_runs_once_it_is_closed(fleet: Fleet) -> None:
    ledger, run = memory_now(), await fleet.started()
    await old(ledger, of_run(run, run_id=str(uuid4())))
    await run.signal(Waiting.end)
    await run.result()
    fleet.handles.clear()
    purge = await fleet.purge(ledger).round()
    assert purge is not None
    assert purge.forgotten == 1


async def test_an_id_that_temporal_can_not_have_given_is_kept(fleet: Fleet) -> None:
    ledger = memory_now()
    await old(ledger, of_nobody(run_id="no uuid"), of_nobody(2, workflow_id=""))
    purge = await fleet.purge(ledger).round()
    assert purge is not None
    assert (purge.forgotten, purge.kept) == (1, 1)


async def test_records_of_another_namespace_are_left_to_its_workers(fleet: Fleet) -> None:
    ledger = memory_now()
    await old(ledger, of_nobody(namespace="other"))
    assert await fleet.purge(ledger).round() is None
    assert await left(ledger) == 1


async def test_a_stop_that_holds_is_never_forgotten_and_one_that_was_lifted_long_ago_is(fleet: Fleet) -> None:
    ledger = memory_then()
    for key in ("fleet", "tenant:a"):
        await ledger.stop("default", key, by="olga")
    await ledger.lift("default", "tenant:a", by="olga")
    ledger.now = datetime.now(UTC)
    purge = await fleet.purge(ledger).round()
    assert purge is not None
    assert purge.forgotten == 1
    assert [stop.key for stop in await ledger.stops_log("default")] == ["fleet"]


# ---------------------------------------------------------------- bounds


async def test_a_round_looks_at_so_many_and_the_next_one_goes_on(
    sqlite: SQLitePlace, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_purge, "MAX_ROUND", 4)
    monkeypatch.setattr(ledger_purge, "_PAGE", 2)
    ledger, run = sqlite.open(), await fleet.started()
    for number in range(4):
        await ledger.insert(of_run(run, number))
    for number in range(4, 10):
        await ledger.insert(of_nobody(number))
    await sqlite.let_pass(LONG)
    purge = fleet.purge(ledger)
    rounds = [await purge.round() for _ in range(3)]
    assert [each and (each.forgotten, each.kept) for each in rounds] == [None, (4, 0), (2, 0)]
    assert await left(ledger) == 4


@pytest.mark.parametrize(
    "retention", [timedelta(0), timedelta(seconds=-1), timedelta(hours=23), -timedelta(days=400)]
)
async def test_a_retention_that_nobody_can_mean_is_refused(fleet: Fleet, retention: timedelta) -> None:
    ledger = memory_now()
    await old(ledger, of_nobody())
    with pytest.raises(ConfigurationError, match="at least 1 day"):
        await fleet.purge(ledger, retention).round()
    assert await left(ledger) == 1


async def test_a_retention_longer_than_time_itself_forgets_nothing(fleet: Fleet) -> None:
    ledger = memory_now()
    await old(ledger, of_nobody())
    assert await fleet.purge(ledger, timedelta(days=999_999)).round() is None


async def test_what_was_forgotten_before_a_round_broke_off_is_on_record(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_purge, "_PAGE", 1)

    class Breaking(MemoryLedger):
        async def forget_stops(self, namespace: str, before: datetime) -> int:
            raise RuntimeError("cut")

    ledger = Breaking()
    await old(ledger, of_nobody())
    with pytest.raises(RuntimeError, match="cut"):
        await fleet.purge(ledger).round()
    (on_record,) = await ledger.purges()
    assert isinstance(on_record, Purge)
    assert on_record.forgotten == 1
