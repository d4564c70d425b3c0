"""What every effect ledger promises of stops: what is forbidden now, read by each write."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from agentflow.adapters.dynamodb_stops import MAX_REVOCATION_BYTES
from agentflow.adapters.ledger_rows import RECORD_COLUMNS, migrations, row_of
from agentflow.adapters.sqlite_file import SQLiteFile
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.effects import EffectQuery
from agentflow.contracts.stops import Stop
from agentflow.errors import LedgerError
from tests.adapters.ledger_places import Place, record

HOUR = timedelta(hours=1)
HOSTILE = "'; DROP TABLE agentflow_stops; -- é 退款 \x10 \x100"


async def keys(place: Place, namespace: str = "default") -> list[str]:
    return [stop.key for stop in await place.open().stops(namespace)]


async def test_a_stop_holds_for_every_reader_at_once(place: Place) -> None:
    assert await place.open().stop("default", "fleet", by="olga", reason="odd payments")
    (held,) = await place.open().stops("default")
    assert (held.namespace, held.key, held.by, held.reason) == ("default", "fleet", "olga", "odd payments")
    assert held.holds


async def test_where_nothing_is_forbidden_there_is_nothing(place: Place) -> None:
    assert await place.open().stops("default") == ()
    assert await place.open().stops_log("default") == ()


async def test_stopping_what_is_stopped_changes_nothing(place: Place) -> None:
    ledger = place.open()
    await ledger.stop("default", "tenant:acme", by="olga", reason="first")
    assert not await ledger.stop("default", "tenant:acme", by="mallory", reason="second")
    (held,) = await ledger.stops("default")
    assert (held.by, held.reason) == ("olga", "first")


async def test_a_stop_holds_in_its_namespace_only(place: Place) -> None:
    ledger = place.open()
    await ledger.stop("prod", "fleet", by="olga")
    assert await keys(place, "prod") == ["fleet"]
    assert await keys(place, "default") == await keys(place, "pro") == []
    assert not await ledger.lift("default", "fleet", by="olga")
    assert await keys(place, "prod") == ["fleet"]


async def test_a_stop_that_is_lifted_holds_no_more_and_is_kept(place: Place) -> None:
    ledger = place.open()
    await ledger.stop("default", "fleet", by="olga", reason="odd")
    assert await ledger.lift("default", "fleet", by="otto", reason="explained")
    assert await keys(place) == []
    (kept,) = await _log(place, 1)
    assert (kept.by, kept.reason, kept.ended_by, kept.ended_reason) == ("olga", "odd", "otto", "explained")
    assert kept.ended_at is not None
    assert kept.since <= kept.ended_at


async def test_lifting_what_is_not_stopped_says_so(place: Place) -> None:
    ledger = place.open()
    assert not await ledger.lift("default", "fleet", by="olga")
    await ledger.stop("default", "fleet", by="olga")
    assert await ledger.lift("default", "fleet", by="olga")
    assert not await ledger.lift("default", "fleet", by="olga")


async def test_what_was_lifted_can_be_stopped_again(place: Place) -> None:
    ledger = place.open()
    for _ in range(2):
        assert await ledger.stop("default", "agent:Payer", by="olga")
        assert await ledger.lift("default", "agent:Payer", by="olga")
    assert await ledger.stop("default", "agent:Payer", by="olga")
    assert await keys(place) == ["agent:Payer"]
    log = await _log(place, 3)
    assert sum(stop.holds for stop in log) == 1


async def test_stops_come_the_oldest_first_and_the_log_the_newest_first(place: Place) -> None:
    ledger = place.open()
    expected = ["fleet", "tenant:b", "tenant:a", "key:k"]
    for key in expected:
        await ledger.stop("default", key, by="olga")
        await asyncio.sleep(0.002)
    assert await keys(place) == expected
    newest = [stop.key for stop in await ledger.stops_log("default", limit=3)]
    assert newest == ["key:k", "tenant:a", "tenant:b"]


@pytest.mark.parametrize("key", ["fleet", "agent:A", "tenant:a.b-c_d", "key:" + "k" * 200, f"key:{HOSTILE}"])
async def test_whatever_is_said_comes_back_as_it_was(place: Place, key: str) -> None:
    ledger = place.open()
    await ledger.stop(HOSTILE, key, by=HOSTILE, reason=HOSTILE * 10)
    (held,) = await place.open().stops(HOSTILE)
    assert (held.namespace, held.key, held.by, held.reason) == (HOSTILE, key, HOSTILE, HOSTILE * 10)
    assert await ledger.lift(HOSTILE, key, by=HOSTILE, reason=HOSTILE)
    assert await ledger.stops(HOSTILE) == ()


@pytest.mark.parametrize(
    ("key", "by", "reason"),
    [
        ("", "olga", ""),
        ("world", "olga", ""),
        ("tenant:", "olga", ""),
        ("fleet:acme", "olga", ""),
        ("key:" + "k" * 201, "olga", ""),
        ("key:a\x00b", "olga", ""),
        ("fleet", "", ""),
        ("fleet", "o" * 201, ""),
        ("fleet", "olga", "r" * 2_001),
    ],
)
async def test_what_is_no_stop_is_refused(place: Place, key: str, by: str, reason: str) -> None:
    ledger = place.open()
    with pytest.raises(ValueError, match=r"no stop|Stop"):
        await ledger.stop("default", key, by=by, reason=reason)
    assert await ledger.stops("default") == ()


@pytest.mark.parametrize("limit", [0, 1001])
async def test_a_log_has_a_limit(place: Place, limit: int) -> None:
    with pytest.raises(ValueError, match="1 to 1000"):
        await place.open().stops_log("default", limit=limit)


async def test_of_many_who_stop_at_once_one_is_the_first(place: Place) -> None:
    ledgers = [place.open() for _ in range(3)]
    done = await asyncio.gather(
        *(ledger.stop("default", "fleet", by=f"p{number}") for number, ledger in enumerate(ledgers * 2))
    )
    assert sum(done) == 1
    assert await keys(place) == ["fleet"]


async def test_of_many_who_lift_at_once_one_is_the_first(place: Place) -> None:
    ledgers = [place.open() for _ in range(3)]
    await ledgers[0].stop("default", "fleet", by="olga")
    done = await asyncio.gather(*(ledger.lift("default", "fleet", by="otto") for ledger in ledgers))
    assert sum(done) == 1
    assert len(await _log(place, 1)) == 1


async def test_purging_forgets_what_was_lifted_long_ago_and_never_what_holds(place: Place) -> None:
    ledger = place.open()
    for key in ("fleet", "tenant:old", "key:k"):
        await ledger.stop("default", key, by="olga")
    await ledger.lift("default", "tenant:old", by="olga")
    await _log(place, 3)
    await place.let_pass(timedelta(days=1000))
    await ledger.stop("default", "tenant:new", by="olga")
    await ledger.lift("default", "tenant:new", by="olga")
    assert await ledger.forget_stops("default", await ledger.clock() - HOUR) == 1
    assert sorted(await keys(place)) == ["fleet", "key:k"]
    assert {stop.key for stop in await _log(place, 3)} == {"fleet", "key:k", "tenant:new"}


async def test_stops_are_no_records_of_writes(place: Place) -> None:
    ledger = place.open()
    await ledger.insert(record())
    await ledger.stop("default", "fleet", by="olga")
    await ledger.stop("default", "tenant:a", by="olga")
    await ledger.lift("default", "tenant:a", by="olga")
    for query in (EffectQuery(), EffectQuery(only_open=True), EffectQuery(namespace="default")):
        assert [found.record for found in (await ledger.find(query)).effects] == [record()]


async def test_records_are_found_by_their_namespace(place: Place) -> None:
    ledger = place.open()
    mine = record(2, namespace="prod", agent="Payer", tenant="acme")
    await ledger.insert(record())
    await ledger.insert(mine)
    for query in (EffectQuery(namespace="prod"), EffectQuery(namespace="prod", only_open=True)):
        assert [found.record for found in (await ledger.find(query)).effects] == [mine]


async def test_however_many_keys_are_revoked_a_freeze_finds_room(dynamodb: Place) -> None:
    ledger = dynamodb.open()

    async def revoke_many() -> None:
        for number in range(MAX_REVOCATION_BYTES // 2_000 + 20):
            await ledger.stop("default", f"key:{number}", by="olga", reason="r" * 2_000)

    with pytest.raises(LedgerError, match="revocations"):
        await revoke_many()
    assert await ledger.stop("default", "fleet", by="olga", reason="r" * 2_000)
    assert "fleet" in await keys(dynamodb)


async def test_a_sqlite_ledger_of_before_there_were_stops_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    old = SQLiteFile(path, migrations("sqlite_ledger_sql")[:1], lambda _: None)
    columns = [
        name for name in RECORD_COLUMNS if name not in ("agent", "tenant", "chain", "work", "counts", "seal")
    ]
    row = dict(zip(RECORD_COLUMNS, row_of(record()), strict=True))
    connection = old.current(HOUR)
    connection.execute(
        f"INSERT INTO agentflow_effects ({', '.join(columns)}, version, created_at_us, written_at_us)"
        f" VALUES ({', '.join('?' * len(columns))}, 1, 1, 1)",
        [row[name] for name in columns],
    )
    old.close()
    ledger = SQLiteLedger(path)
    found = await ledger.get(record().key)
    assert found is not None
    assert found.record == record()
    assert await ledger.stop("default", "fleet", by="olga")
    await ledger.close()


async def _log(place: Place, count: int) -> tuple[Stop, ...]:
    """The log, once it has so many: the index of a DynamoDB table lags behind."""
    for _ in range(50):
        if len(found := await place.open().stops_log("default")) >= count:
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(f"the log has {found}")
