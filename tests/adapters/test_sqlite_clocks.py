"""Ages in a SQLite ledger: by the machine's uptime, whatever its clock of the day says."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agentflow.activity.machine_clock import Uptime
from agentflow.adapters import sqlite_ledger
from agentflow.adapters.ledger_rows import moment_us
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.core import effects
from tests.adapters.ledger_places import record
from tests.adapters.test_sqlite_ledger import ran


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
async def ledger(path: Path) -> AsyncIterator[SQLiteLedger]:
    ledger = SQLiteLedger(path)
    yield ledger
    await ledger.close()


class Machine:
    """Its clock, which tells the day; and its uptime, which nobody sets."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.day, self.now = datetime.now(UTC), Uptime("boot-1", 10**9)
        patch.setattr(sqlite_ledger, "_now_us", lambda: moment_us(self.day))
        patch.setattr(sqlite_ledger.Uptime, "now", lambda: self.now)

    def advance(self, by: timedelta) -> None:
        self.day += by
        self.now = self.now._replace(us=self.now.us + by // timedelta(microseconds=1))

    def restart(self, boot: str | None, up: timedelta) -> None:
        self.now = Uptime(boot, up // timedelta(microseconds=1))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


async def age_in(ledger: SQLiteLedger) -> timedelta:
    found = await ledger.get(record().key)
    assert found is not None
    return found.age


@pytest.mark.parametrize("days", [401, -401])
async def test_a_clock_that_is_set_changes_no_age(ledger: SQLiteLedger, machine: Machine, days: int) -> None:
    await ledger.insert(record())
    machine.advance(timedelta(seconds=30))
    machine.day += timedelta(days=days)
    assert await age_in(ledger) == timedelta(seconds=30)


async def test_a_record_dated_400_days_ahead_is_as_old_as_it_is(
    ledger: SQLiteLedger, machine: Machine
) -> None:
    machine.day += timedelta(days=400)
    await ledger.insert(record())
    machine.day -= timedelta(days=400)
    machine.advance(timedelta(seconds=81))
    found = await ledger.get(record().key)
    assert found is not None
    assert isinstance(effects.examine(found, record()), effects.Abandoned)


@pytest.mark.parametrize("boot", ["boot-2", None])
async def test_after_a_restart_a_record_is_as_old_as_that_at_least(
    ledger: SQLiteLedger, machine: Machine, boot: str | None
) -> None:
    if boot is None:
        machine.restart(None, timedelta(hours=5))
    await ledger.insert(record())
    machine.restart(boot, timedelta(seconds=20))
    assert await age_in(ledger) == timedelta(seconds=20)
    machine.advance(timedelta(hours=10))
    assert timedelta(seconds=20) < await age_in(ledger) <= timedelta(hours=10, seconds=20)


async def test_nothing_is_sure_of_the_age_of_a_record_without_an_uptime(
    path: Path, ledger: SQLiteLedger, machine: Machine
) -> None:
    await ledger.insert(record())
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE agentflow_effects SET written_up_us = NULL, written_boot = NULL")
    machine.advance(timedelta(days=1))
    assert await age_in(ledger) == timedelta(0)


def test_a_process_with_another_clock_tells_the_same_age(path: Path) -> None:
    told = [
        ran(
            """
            import time
            from agentflow.adapters import sqlite_ledger

            ahead = int(sys.argv[2]) * 86_400 * 1_000_000
            sqlite_ledger._now_us = lambda: time.time_ns() // 1_000 + ahead
            ledger = SQLiteLedger(Path(sys.argv[1]))

            async def main():
                print(await ledger.insert(record()), (await ledger.get(record().key)).age.total_seconds() < 60)

            asyncio.run(main())
            """,
            path,
            days,
        )
        for days in (401, 0, -401)
    ]
    assert told == ["True True", "False True", "False True"]
