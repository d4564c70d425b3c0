"""What every effect ledger promises of what it forgets, by one suite for all of them."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from agentflow.contracts.effects import EffectQuery
from agentflow.contracts.purges import MAX_PURGES, Purge
from agentflow.contracts.wire import sha256_of
from agentflow.testing import MemoryLedger
from tests.adapters.ledger_places import DynamoDBPlace, Place, purged, record
from tests.adapters.test_ledgers import SEVERAL, all_of, insert_all

HOUR = timedelta(hours=1)


async def test_a_purge_forgets_what_has_ended_or_was_closed_and_is_old(place: Place) -> None:
    ledger = place.open()
    for each in SEVERAL:
        await ledger.insert(each)
    await place.let_pass(HOUR)
    await ledger.insert(record(6, state="done"))
    assert await purged(ledger, HOUR / 2) == 3
    left = {each.key for each in await all_of(ledger, EffectQuery())}
    assert left == {sha256_of(number) for number in (1, 4, 6)}


async def test_a_purge_counts_from_the_last_change(place: Place) -> None:
    ledger = place.open()
    await ledger.insert(record())
    await place.let_pass(HOUR)
    await ledger.replace(record(state="done"), version=1)
    assert await purged(ledger, HOUR / 2) == 0
    await place.let_pass(HOUR)
    assert await purged(ledger, HOUR / 2) == 1


async def test_a_purge_of_many_forgets_all_of_them(place: Place) -> None:
    ledger = place.open()
    many = 60 if isinstance(place, DynamoDBPlace) else 600
    await insert_all(ledger, [record(number, state="done") for number in range(many)])
    await place.let_pass(HOUR)
    assert await purged(ledger, HOUR / 2) == many
    assert await all_of(ledger, EffectQuery()) == []


async def test_only_what_is_seen_as_it_is_now_is_forgotten(place: Place) -> None:
    ledger = place.open()
    await ledger.insert(record(1, state="done"))
    await ledger.insert(record(2, state="done"))
    await ledger.replace(record(2, state="done", detail="later"), version=1)
    assert await ledger.forget({sha256_of(1): 1, sha256_of(2): 1, sha256_of(3): 1}) == 1
    assert await all_of(ledger, EffectQuery()) == [record(2, state="done", detail="later")]


async def test_what_is_open_is_never_forgotten(place: Place) -> None:
    ledger = place.open()
    await ledger.insert(record(1))
    await ledger.insert(record(2, state="unknown"))
    assert await ledger.forget({sha256_of(1): 1, sha256_of(2): 1}) == 0
    assert len(await all_of(ledger, EffectQuery())) == 2


async def test_nothing_and_too_much_are_not_forgotten(place: Place) -> None:
    ledger = place.open()
    assert await ledger.forget({}) == 0
    if isinstance(ledger, MemoryLedger):
        return
    with pytest.raises(ValueError, match="1000 records at most"):
        await ledger.forget({sha256_of(number): 1 for number in range(1001)})


async def test_what_ended_before_a_time_is_listed_by_when_it_was_written_last(place: Place) -> None:
    ledger = place.open()
    for number in (1, 2, 3):
        await ledger.insert(record(number, state="done"))
    await ledger.insert(record(4))
    await place.let_pass(HOUR)
    await ledger.replace(record(2, state="done"), version=1)
    before = await ledger.clock() - HOUR / 2
    query = EffectQuery(ended_before=before)
    assert {one.key for one in await all_of(ledger, query, limit=1)} == {sha256_of(1), sha256_of(3)}


def test_what_is_open_and_has_ended_is_not_asked_for() -> None:
    with pytest.raises(ValueError, match="only_open or ended_before"):
        EffectQuery(only_open=True, ended_before=datetime.now(UTC))


# ---------------------------------------------------------------- what was forgotten, on record

ROUND = Purge(
    at=datetime(2026, 11, 30, 1, 2, 3, 4, tzinfo=UTC),
    by="4711@ünïcode\x00",
    namespace="default",
    before=datetime(2025, 10, 1, tzinfo=UTC),
    forgotten=3,
    kept=2,
)


async def test_a_purge_on_record_comes_back_as_it_was(place: Place) -> None:
    refused = ROUND.model_copy(update={"refused": "the clocks differ", "forgotten": 0})
    for each in (ROUND, refused):
        await place.open().keep_purge(each)
    assert await place.open().purges() == (refused, ROUND)
    assert await place.open().purges(limit=1) == (refused,)


async def test_the_last_purges_are_kept(place: Place) -> None:
    ledger = place.open()
    for number in range(MAX_PURGES + 2):
        await ledger.keep_purge(ROUND.model_copy(update={"forgotten": number}))
    kept = await ledger.purges(limit=1000)
    assert [each.forgotten for each in kept] == list(range(MAX_PURGES + 1, 1, -1))


async def test_purges_that_are_kept_at_once_are_all_kept(place: Place) -> None:
    several = [ROUND.model_copy(update={"forgotten": number}) for number in range(4)]
    await asyncio.gather(*(place.open().keep_purge(each) for each in several))
    assert {each.forgotten for each in await place.open().purges()} == {0, 1, 2, 3}


async def test_purges_are_no_records_of_writes(place: Place) -> None:
    ledger = place.open()
    await ledger.keep_purge(ROUND)
    assert (await ledger.find(EffectQuery())).effects == ()
    assert await ledger.stops_log("default") == ()


@pytest.mark.parametrize("limit", [0, 1001])
async def test_so_many_purges_are_not_told_at_once(place: Place, limit: int) -> None:
    with pytest.raises(ValueError, match="1000"):
        await place.open().purges(limit=limit)
