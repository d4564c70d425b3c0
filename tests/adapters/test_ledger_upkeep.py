"""What a worker does for its ledger: it checks it, warns of a short retention, and forgets what is old."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import structlog
from temporalio.testing import WorkflowEnvironment

from agentflow.adapters.ledger_upkeep import ledger_kept
from agentflow.contracts.effects import EffectQuery, EffectRecord
from agentflow.contracts.wire import ToolCallId, sha256_of
from agentflow.core import effects
from agentflow.errors import ConfigurationError, LedgerError
from agentflow.testing import MemoryLedger

YEAR = timedelta(days=365)


class Refusing(MemoryLedger):
    """A ledger that fails in a way."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    async def check(self) -> None:
        raise self._error

    async def purge(self, older_than: timedelta) -> int:
        raise self._error


def record(name: str) -> EffectRecord:
    return EffectRecord(
        key=sha256_of(name),
        namespace="default",
        workflow_id=name,
        run_id="1",
        tool="pay",
        tool_call_id=ToolCallId("1"),
        arguments_hash=sha256_of("arguments"),
        owner="1",
        lease=timedelta(seconds=30),
    )


async def kept(
    ledger: MemoryLedger | None, retention: timedelta, environment: WorkflowEnvironment
) -> list[Any]:
    """What is logged while a worker starts, and has had time for its first round."""
    with structlog.testing.capture_logs() as logs:
        async with ledger_kept(ledger, retention, environment.client):
            for _ in range(10):
                await asyncio.sleep(0)
    return logs


async def test_a_worker_without_a_ledger_has_nothing_to_keep(temporal: WorkflowEnvironment) -> None:
    assert await kept(None, YEAR, temporal) == []


async def test_what_has_ended_and_is_old_is_forgotten_and_what_is_open_is_not(
    temporal: WorkflowEnvironment,
) -> None:
    ledger = MemoryLedger()
    for name in ("done", "open", "unknown"):
        await ledger.insert(record(name))
    await ledger.replace(effects.ended(record("done"), "{}", happened=True), version=1)
    await ledger.replace(effects.in_doubt(record("unknown"), "cut"), version=1)
    ledger.advance(YEAR + timedelta(seconds=1))
    await kept(ledger, YEAR, temporal)
    left = (await ledger.find(EffectQuery())).effects
    assert {found.record.workflow_id for found in left} == {"open", "unknown"}


@pytest.mark.parametrize(("retention", "warned"), [(timedelta(hours=1), True), (YEAR * 10, False)])
async def test_a_ledger_that_forgets_before_temporal_does_is_warned_of(
    temporal: WorkflowEnvironment, retention: timedelta, warned: bool
) -> None:
    logs = await kept(MemoryLedger(), retention, temporal)
    warnings = [line for line in logs if "forgets sooner" in line["event"]]
    assert bool(warnings) is warned
    if warned:
        assert warnings[0]["ledger_retention"] == "1:00:00"
        assert warnings[0]["namespace_retention"] == "1 day, 0:00:00"


async def test_a_ledger_that_can_not_be_reached_stops_no_worker_and_is_told(
    temporal: WorkflowEnvironment,
) -> None:
    logs = await kept(Refusing(LedgerError("no route to ledger.example")), YEAR, temporal)
    assert [line["error_type"] for line in logs if "no write runs" in line["event"]] == ["LedgerError"]


async def test_a_ledger_that_must_be_set_up_stops_the_worker(temporal: WorkflowEnvironment) -> None:
    with pytest.raises(ConfigurationError, match="agentflow ledger migrate"):
        await kept(Refusing(ConfigurationError("run agentflow ledger migrate")), YEAR, temporal)
