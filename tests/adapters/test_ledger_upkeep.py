"""What a worker does for its ledger: it checks it, warns of a short retention, and forgets what is old."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import structlog
from temporalio import activity
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from agentflow.adapters import ledger_upkeep
from agentflow.adapters.ledger_upkeep import ledger_kept
from agentflow.contracts.effects import EffectQuery
from agentflow.contracts.purges import Purge
from agentflow.errors import ConfigurationError, LedgerError
from agentflow.testing import MemoryLedger
from tests.adapters.ledger_places import record

YEAR = timedelta(days=365)


@activity.defn
async def nothing() -> None:
    """Polled for."""


@pytest.fixture
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds that follow each other at once; the server's answers take their time."""
    monkeypatch.setattr(ledger_upkeep, "PURGE_DELAY", timedelta(0))
    monkeypatch.setattr(ledger_upkeep, "PURGE_INTERVAL", timedelta(0))


class Refusing(MemoryLedger):
    """A ledger that fails in a way."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    async def check(self) -> None:
        raise self._error

    async def clock(self) -> datetime:
        raise self._error


async def kept(
    ledger: MemoryLedger | None, retention: timedelta, environment: WorkflowEnvironment
) -> list[Any]:
    """What is logged while a worker starts."""
    with structlog.testing.capture_logs() as logs:
        async with ledger_kept(ledger, retention, environment.client, "nobody-polls"):
            pass
    return logs


async def test_a_worker_without_a_ledger_has_nothing_to_keep(temporal: WorkflowEnvironment) -> None:
    assert await kept(None, YEAR, temporal) == []


@pytest.mark.usefixtures("no_delay")
async def test_a_worker_has_its_ledger_forget_what_is_old_while_it_runs(
    temporal: WorkflowEnvironment,
) -> None:
    forgotten = asyncio.Event()

    class Told(MemoryLedger):
        async def keep_purge(self, purge: Purge) -> None:
            await super().keep_purge(purge)
            forgotten.set()

    ledger = Told()
    ledger.now = datetime.now(UTC) - YEAR - timedelta(days=1)
    await ledger.insert(record(workflow_id=f"gone-{uuid4()}", run_id=str(uuid4()), state="done"))
    ledger.now = datetime.now(UTC)
    queue = f"upkeep-{uuid4()}"
    async with (
        Worker(temporal.client, task_queue=queue, activities=[nothing]),
        ledger_kept(ledger, YEAR, temporal.client, queue),
    ):
        async with asyncio.timeout(60):
            await forgotten.wait()
    assert (await ledger.find(EffectQuery())).effects == ()


@pytest.mark.usefixtures("no_delay")
@pytest.mark.parametrize("error", [LedgerError("no route"), TypeError("a ledger of one's own")])
async def test_a_round_that_fails_is_told_and_the_next_one_comes(
    temporal: WorkflowEnvironment, error: Exception
) -> None:
    again = asyncio.Event()

    class Failing(MemoryLedger):
        failed = 0

        async def clock(self) -> datetime:
            self.failed += 1
            if self.failed == 2:
                again.set()
            raise error

    queue = f"upkeep-{uuid4()}"
    with structlog.testing.capture_logs() as logs:
        async with (
            Worker(temporal.client, task_queue=queue, activities=[nothing]),
            ledger_kept(Failing(), YEAR, temporal.client, queue),
        ):
            async with asyncio.timeout(60):
                await again.wait()
    told = [line["error_type"] for line in logs if line["event"] == "ledger not purged"]
    assert type(error).__name__ in told


@pytest.mark.parametrize("retention", [timedelta(0), timedelta(seconds=-1), timedelta(hours=1)])
async def test_a_retention_that_nobody_can_mean_stops_the_worker(
    temporal: WorkflowEnvironment, retention: timedelta
) -> None:
    with pytest.raises(ConfigurationError, match="at least 1 day"):
        await kept(MemoryLedger(), retention, temporal)


@pytest.mark.parametrize(("retention", "warned"), [(timedelta(days=1), True), (YEAR * 10, False)])
async def test_a_ledger_that_forgets_before_temporal_does_is_warned_of(
    temporal: WorkflowEnvironment, retention: timedelta, warned: bool
) -> None:
    logs = await kept(MemoryLedger(), retention, temporal)
    warnings = [line for line in logs if "forgets sooner" in line["event"]]
    assert bool(warnings) is warned
    if warned:
        assert warnings[0]["ledger_retention"] == "1 day, 0:00:00"
        assert warnings[0]["namespace_retention"] == "1 day, 0:00:00"


async def test_a_ledger_that_can_not_be_reached_stops_no_worker_and_is_told(
    temporal: WorkflowEnvironment,
) -> None:
    logs = await kept(Refusing(LedgerError("no route to ledger.example")), YEAR, temporal)
    assert [line["error_type"] for line in logs if "no write runs" in line["event"]] == ["LedgerError"]


async def test_a_ledger_that_must_be_set_up_stops_the_worker(temporal: WorkflowEnvironment) -> None:
    with pytest.raises(ConfigurationError, match="agentflow ledger migrate"):
        await kept(Refusing(ConfigurationError("run agentflow ledger migrate")), YEAR, temporal)
