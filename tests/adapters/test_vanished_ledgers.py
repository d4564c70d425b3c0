"""A ledger's file that is moved, replaced or deleted while a worker uses it: what stops, and what goes on."""

# ruff: noqa: ASYNC240 - a test may touch a file while nothing else runs

import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest

from agentflow.activity.ledger_calls import LedgerCalls
from agentflow.adapters.ledger_card import LedgerCard
from agentflow.adapters.sqlite_file import SQLiteFile
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.effects import EffectQuery
from agentflow.contracts.ledger import Adoption
from agentflow.errors import LedgerError
from agentflow.testing import MemoryLedger
from agentflow.testing.settings import TEST_SEAL_KEYS
from tests.adapters.ledger_places import record


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.sqlite"


@pytest.fixture
async def ledger(path: Path) -> AsyncIterator[SQLiteLedger]:
    ledger = SQLiteLedger(path)
    yield ledger
    await ledger.close()


async def tools_in(ledger: SQLiteLedger) -> list[str]:
    return [effect.record.tool for effect in (await ledger.find(EffectQuery())).effects]


async def another(path: Path) -> Path:
    """A ledger with a record of its own, beside that of the path."""
    place = path.with_name("other.sqlite")
    other = SQLiteLedger(place)
    await other.insert(record(1, tool="other"))
    await other.close()
    return place


def linked(path: Path, other: Path) -> None:
    path.rename(path.with_name("old.sqlite"))
    path.symlink_to(other)


def copied(path: Path, other: Path) -> None:
    copy = path.with_name("copy.sqlite")
    shutil.copy(other, copy)
    copy.replace(path)


def with_its_folder(path: Path, other: Path) -> None:
    kept = path.parent.with_name("kept.sqlite")
    other.rename(kept)
    shutil.rmtree(path.parent)
    path.parent.mkdir()
    kept.rename(path)


GONE: dict[str, Callable[[Path], object]] = {
    "deleted": Path.unlink,
    "moved": lambda path: path.rename(path.with_name("moved.sqlite")),
    "with its folder": lambda path: shutil.rmtree(path.parent),
    "its folder moved": lambda path: path.parent.rename(path.parent.with_name("old")),
    "a link to nowhere": lambda path: linked(path, path.with_name("nothing.sqlite")),
}
REPLACED: dict[str, Callable[[Path, Path], object]] = {
    "moved over it": lambda path, other: other.replace(path),
    "copied over it": copied,
    "a link to it": linked,
    "with its folder": with_its_folder,
}
LOGS = ("-wal", "-shm")


@pytest.mark.parametrize("how", GONE)
async def test_a_file_that_is_gone_stops_writes_and_is_not_made_anew(
    path: Path, ledger: SQLiteLedger, how: str
) -> None:
    await ledger.insert(record(1))
    GONE[how](path)
    for _ in range(2):
        with pytest.raises(LedgerError, match=r"moved or deleted while it was in use.*put it back"):
            await ledger.insert(record(2))
    assert not path.exists()


@pytest.mark.parametrize("how", REPLACED)
async def test_a_ledger_in_the_place_of_another_can_be_read_and_not_written_to(
    path: Path, ledger: SQLiteLedger, how: str
) -> None:
    other = await another(path)
    await ledger.insert(record(1, tool="first"))
    REPLACED[how](path, other)
    with pytest.raises(LedgerError, match=r"was .* when this worker began to use it.*ledger adopt"):
        await ledger.insert(record(2))
    with pytest.raises(LedgerError, match="no write runs"):
        await ledger.replace(record(1), version=1)
    assert await tools_in(ledger) == ["other"]


@pytest.mark.parametrize("log", LOGS)
async def test_a_log_that_is_deleted_is_an_error_of_what_is_written_then(
    path: Path, ledger: SQLiteLedger, log: str
) -> None:
    await ledger.insert(record(1))
    path.with_name(path.name + log).unlink()
    with pytest.raises(LedgerError, match=f"{log}, its log, was moved, replaced or deleted"):
        await ledger.insert(record(2))


async def test_a_ledger_that_an_operator_lets_stand_for_the_lost_one_is_written_to(
    path: Path, ledger: SQLiteLedger
) -> None:
    await ledger.insert(record(1))
    first = (await ledger.identity()).id
    (await another(path)).replace(path)
    with pytest.raises(LedgerError):
        await ledger.insert(record(2))
    operator = SQLiteLedger(path)
    await operator.adopt(Adoption(by="ola", lost="all of it", instead_of=first))
    assert await ledger.insert(record(2))
    await operator.close()


async def test_a_file_that_is_put_back_is_written_to_again(path: Path, ledger: SQLiteLedger) -> None:
    await ledger.insert(record(1))
    away = path.with_name("away.sqlite")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path.rename(away)
    with pytest.raises(LedgerError):
        await ledger.insert(record(2))
    away.rename(path)
    assert await ledger.insert(record(2))


async def test_a_worker_that_begins_again_begins_with_what_is_there(path: Path, ledger: SQLiteLedger) -> None:
    await ledger.insert(record(1))
    path.unlink()
    await ledger.close()
    assert await ledger.insert(record(2))


async def test_what_was_written_before_a_file_was_moved_can_be_found_again(
    path: Path, ledger: SQLiteLedger
) -> None:
    await ledger.insert(record(1))
    moved = path.with_name("moved.sqlite")
    path.rename(moved)
    with pytest.raises(LedgerError):
        await ledger.insert(record(2))
    (log,) = path.parent.glob("*.orphan")
    log.rename(f"{moved}-wal")
    assert [one.record for one in (await SQLiteLedger(moved).find(EffectQuery())).effects] == [record(1)]


async def test_a_write_to_a_file_that_is_replaced_meanwhile_is_no_write(
    path: Path, ledger: SQLiteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = SQLiteLedger(path.with_name("other.sqlite"))
    await other.insert(record(1, tool="other"))
    await other.close()
    await ledger.check()

    def replaced_first(self: SQLiteFile) -> None:
        monkeypatch.undo()
        path.with_name("other.sqlite").replace(path)
        self.still_there()

    monkeypatch.setattr(SQLiteFile, "still_there", replaced_first)
    with pytest.raises(LedgerError, match="moved, replaced or deleted meanwhile"):
        await ledger.insert(record(2))
    assert await tools_in(ledger) == ["other"]


async def test_a_ledger_that_is_closed_after_its_file_was_replaced_leaves_nothing_to_mix_up(
    path: Path, ledger: SQLiteLedger
) -> None:
    other = SQLiteLedger(path.with_name("other.sqlite"))
    await other.insert(record(1, tool="other"))
    await other.close()
    await ledger.insert(record(1))
    path.with_name("other.sqlite").replace(path)
    await ledger.close()
    assert await tools_in(SQLiteLedger(path)) == ["other"]


async def test_a_table_that_is_made_anew_stops_writes_whatever_kind_of_ledger_it_is_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ledger = MemoryLedger()
    calls = LedgerCalls(ledger, TEST_SEAL_KEYS)
    first = (await calls.identity()).id
    assert await calls.insert(record(1))
    monkeypatch.setattr(ledger, "_card", LedgerCard.new("memory"))
    with pytest.raises(LedgerError, match=f"was {first} when this worker began to use it"):
        await calls.identity()
