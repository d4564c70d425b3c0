"""What every effect ledger tells of one piece of work: all of it, and nothing else."""

import asyncio
from datetime import timedelta

import pytest

from agentflow.adapters import ledger_rows
from agentflow.contracts.wire import Sha256, sha256_of
from agentflow.errors import LedgerError
from tests.adapters.ledger_places import Place, SQLitePlace, purged, record

WORK, OTHER = sha256_of("pay alice"), sha256_of("pay bob")


async def test_the_records_of_a_piece_of_work_are_told_the_oldest_first(place: Place) -> None:
    ledger = place.open()
    for number, work in enumerate((WORK, OTHER, WORK, None), start=1):
        await ledger.insert(record(number, work=work, chain=f"run-{number}"))
    found = await ledger.of_work(WORK)
    assert [(one.record.key, one.record.chain) for one in found] == [
        (sha256_of(1), "run-1"),
        (sha256_of(3), "run-3"),
    ]
    assert await ledger.of_work(sha256_of("nobody's")) == ()


async def test_a_record_of_a_piece_of_work_is_told_as_it_is_now(place: Place) -> None:
    ledger = place.open()
    await ledger.insert(record(work=WORK))
    changed = record(work=WORK, state="done", result="{}")
    assert await ledger.replace(changed, version=1)
    (found,) = await ledger.of_work(WORK)
    assert (found.record, found.version) == (changed, 2)


async def test_what_counts_anothers_effect_has_none_of_its_own(place: Place) -> None:
    ledger = place.open()
    await ledger.insert(record(1, work=WORK, state="done", result="{}"))
    await ledger.insert(record(2, work=WORK, state="done", result="{}", counts=sha256_of(1)))
    await ledger.insert(record(3, work=WORK))
    await ledger.replace(record(3, work=WORK, state="done", result="{}", counts=sha256_of(1)), version=1)
    assert [one.record.key for one in await ledger.of_work(WORK)] == [sha256_of(1)]


async def test_of_two_that_insert_and_then_look_at_least_one_sees_the_other(place: Place) -> None:
    async def seen(number: int, work: Sha256) -> int:
        ledger = place.open()
        await ledger.insert(record(number, work=work))
        return len(await ledger.of_work(work))

    for turn in range(10):
        work = sha256_of(f"turn {turn}")
        assert 2 in await asyncio.gather(seen(2 * turn + 1, work), seen(2 * turn + 2, work))


async def test_what_a_purge_forgets_is_told_no_more(place: Place) -> None:
    ledger = place.open()
    await ledger.insert(record(1, work=WORK, state="done"))
    await ledger.insert(record(2, work=WORK, state="done"))
    await ledger.insert(record(3, work=WORK))
    await place.let_pass(timedelta(hours=2))
    assert await purged(ledger, timedelta(hours=1)) == 2
    assert [one.record.key for one in await ledger.of_work(WORK)] == [sha256_of(3)]


async def test_more_of_a_piece_of_work_than_can_be_told_is_an_error(
    sqlite: SQLitePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_rows, "MAX_OF_WORK", 1)
    ledger = sqlite.open()
    await ledger.insert(record(1, work=WORK))
    assert len(await ledger.of_work(WORK)) == 1
    await ledger.insert(record(2, work=WORK))
    with pytest.raises(LedgerError, match="more than 1 records"):
        await ledger.of_work(WORK)
