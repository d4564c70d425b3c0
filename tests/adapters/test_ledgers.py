"""What every effect ledger promises, by one suite for all of them."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from agentflow.activity import hold
from agentflow.adapters.dynamodb_ledger import DynamoDBLedger
from agentflow.adapters.ledgers import migrate, open_ledger
from agentflow.adapters.postgres_ledger import PostgresLedger
from agentflow.adapters.process import HOST, free_port
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.effects import EffectQuery, EffectRecord, StoredEffect
from agentflow.contracts.tools import ToolResult
from agentflow.contracts.wire import sha256_of
from agentflow.errors import ConfigurationError, LedgerError
from agentflow.ports.ledger import EffectLedger
from agentflow.testing import MemoryLedger
from tests.activity.outside import Bank, carried_out
from tests.adapters.ledger_places import UNSURE, DynamoDBPlace, Place, dynamodb_client, record

PASSWORD = "hunter2-in-clear"
HOUR = timedelta(hours=1)

ENTIRE = record(
    namespace='prod\'s "own"',
    workflow_id="refund/ünïcode 退款 \U0001f4b8",
    run_id="'; DROP TABLE agentflow_effects; --",
    state="failed",
    attempts=7,
    lease=timedelta(days=400, microseconds=1),
    result='{"text": "' + "é\\u0000" * 50_000 + '"}',
    detail="line\nline\ttab \\ % %s ? :x {} \x00 \x10 \x100 end ",
    closed_by="Renée O'Hara",
)


async def kept_record(ledger: EffectLedger, number: int = 1) -> StoredEffect:
    found = await ledger.get(sha256_of(number))
    assert found is not None
    return found


async def insert_all(ledger: EffectLedger, records: list[EffectRecord]) -> None:
    # Ten at a time: hundreds that wait for one connection would wait too long on a busy machine.
    for start in range(0, len(records), 10):
        assert all(await asyncio.gather(*map(ledger.insert, records[start : start + 10])))


async def all_of(ledger: EffectLedger, query: EffectQuery, limit: int = 100) -> list[EffectRecord]:
    """Every page of a listing, in turn."""
    found: list[EffectRecord] = []
    cursor = None
    while True:
        page = await ledger.find(query, limit=limit, cursor=cursor)
        assert len(page.effects) <= limit
        found += [effect.record for effect in page.effects]
        if (cursor := page.cursor) is None:
            return found


# ---------------------------------------------------------------- one record


async def test_a_new_record_is_kept_as_version_1(place: Place) -> None:
    assert await place.open().insert(record())
    found = await kept_record(place.open())
    assert (found.record, found.version) == (record(), 1)


async def test_there_is_no_record_where_none_was_kept(place: Place) -> None:
    assert await place.open().get(sha256_of("nothing")) is None


async def test_a_taken_key_is_refused_and_stays_as_it_was(place: Place) -> None:
    ledger = place.open()
    await ledger.insert(record())
    assert not await ledger.insert(record(owner="another", tool="another"))
    assert (await kept_record(ledger)).record == record()


async def test_every_field_comes_back_as_it_was(place: Place) -> None:
    await place.open().insert(ENTIRE)
    assert (await kept_record(place.open())).record == ENTIRE


async def test_every_field_can_be_changed_and_emptied_again(place: Place) -> None:
    ledger = place.open()
    await ledger.insert(record())
    assert await ledger.replace(ENTIRE, version=1)
    assert (await kept_record(ledger)).record == ENTIRE
    assert await ledger.replace(record(), version=2)
    assert (await kept_record(ledger)).record == record()


async def test_each_change_makes_the_version_one_more(place: Place) -> None:
    ledger = place.open()
    await ledger.insert(record())
    for version in (1, 2, 3):
        assert await ledger.replace(record(attempts=version + 1), version=version)
    found = await kept_record(ledger)
    assert (found.version, found.record.attempts) == (4, 4)


@pytest.mark.parametrize("version", [1, 3])
async def test_a_change_of_another_version_is_refused(place: Place, version: int) -> None:
    ledger = place.open()
    await ledger.insert(record())
    await ledger.replace(record(attempts=2), version=1)
    assert not await ledger.replace(record(attempts=9), version=version)
    assert (await kept_record(ledger)).record.attempts == 2


async def test_nothing_is_changed_where_nothing_is(place: Place) -> None:
    ledger = place.open()
    assert not await ledger.replace(record(), version=1)
    assert await ledger.get(record().key) is None


async def test_only_the_record_of_the_key_is_changed(place: Place) -> None:
    ledger = place.open()
    for number in (1, 2):
        await ledger.insert(record(number))
    await ledger.replace(record(1, state="done"), version=1)
    found = await kept_record(ledger, 2)
    assert (found.record, found.version) == (record(2), 1)


# ---------------------------------------------------------------- time


def allowance(place: Place) -> timedelta:
    """What an age may be too little by."""
    return UNSURE if isinstance(place, DynamoDBPlace) else timedelta(0)


async def test_a_new_record_was_created_and_written_at_once(place: Place) -> None:
    ledger = place.open()
    await ledger.insert(record())
    found = await kept_record(ledger)
    assert found.created_at == found.written_at
    assert found.created_at.utcoffset() == timedelta(0)


async def test_times_are_those_of_a_clock(place: Place) -> None:
    if isinstance(place.open(), MemoryLedger):
        pytest.skip("its clock stands still")
    before = datetime.now(UTC)
    await place.open().insert(record())
    found = await kept_record(place.open())
    # The server is on this machine.
    assert before - timedelta(milliseconds=1) <= found.created_at <= datetime.now(UTC) + allowance(place)


async def test_a_record_just_written_has_an_age_of_about_nothing(place: Place) -> None:
    ledger = place.open()
    await ledger.insert(record())
    assert timedelta(0) <= (await kept_record(ledger)).age < timedelta(minutes=1)


async def test_an_age_counts_from_when_the_record_was_written(place: Place) -> None:
    ledger = place.open()
    await ledger.insert(record())
    await place.let_pass(HOUR)
    age = (await kept_record(ledger)).age + allowance(place)
    assert HOUR <= age < HOUR + timedelta(minutes=1)


async def test_a_change_makes_a_record_young_again_and_leaves_when_it_was_created(place: Place) -> None:
    ledger = place.open()
    await ledger.insert(record())
    await place.let_pass(HOUR)
    created_at = (await kept_record(ledger)).created_at
    await ledger.replace(record(attempts=2), version=1)
    found = await kept_record(ledger)
    assert found.created_at == created_at
    assert found.age < timedelta(minutes=1)
    assert HOUR - allowance(place) <= found.written_at - found.created_at < HOUR + timedelta(minutes=1)


async def test_a_refused_change_makes_no_record_younger(place: Place) -> None:
    ledger = place.open()
    await ledger.insert(record())
    await place.let_pass(HOUR)
    await ledger.insert(record(owner="another"))
    await ledger.replace(record(owner="another"), version=7)
    assert (await kept_record(ledger)).age + allowance(place) >= HOUR


# ---------------------------------------------------------------- many at once


async def test_of_fifty_that_claim_a_key_at_once_one_wins(place: Place) -> None:
    workers = [place.open() for _ in range(50)]
    claims = [record(owner=f"worker-{number}") for number in range(50)]
    won = await asyncio.gather(*(worker.insert(claim) for worker, claim in zip(workers, claims, strict=True)))
    assert Counter(won) == {True: 1, False: 49}
    assert (await kept_record(workers[0])).record == claims[won.index(True)]


async def test_of_fifty_that_change_a_version_at_once_one_wins(place: Place) -> None:
    workers = [place.open() for _ in range(50)]
    await workers[0].insert(record())
    changes = [record(owner=f"worker-{number}") for number in range(50)]
    won = await asyncio.gather(
        *(worker.replace(change, version=1) for worker, change in zip(workers, changes, strict=True))
    )
    assert Counter(won) == {True: 1, False: 49}
    found = await kept_record(workers[0])
    assert (found.record, found.version) == (changes[won.index(True)], 2)


async def test_of_fifty_tasks_that_share_a_ledger_one_wins_each_key(place: Place) -> None:
    ledger = place.open()
    won = await asyncio.gather(*(ledger.insert(record(number % 5)) for number in range(50)))
    assert Counter(won) == {True: 5, False: 45}


async def test_of_fifty_attempts_at_once_one_calls_the_tool(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hold, "PAUSE_SECONDS", 0)
    bank = Bank()
    outcomes = await asyncio.gather(
        *(carried_out(bank.pay, place.open()) for _ in range(50)),
        return_exceptions=True,
    )
    assert bank.payments == ["ada"]
    paid = [outcome for outcome in outcomes if isinstance(outcome, ToolResult)]
    assert Counter(result.replayed for result in paid)[False] == 1
    refused = {outcome.type for outcome in outcomes if isinstance(outcome, ApplicationError)}
    assert refused <= {"EffectBusy"}
    assert {type(outcome) for outcome in outcomes} <= {ToolResult, ApplicationError}


# ---------------------------------------------------------------- listings

CLOSED = {"state": "unknown", "closed_by": "ann"}
SEVERAL = [
    record(1),
    record(2, state="done", workflow_id="refund-2"),
    record(3, state="failed", tool="wire"),
    record(4, state="unknown", tool="wire", workflow_id="refund-2"),
    record(5, **CLOSED),
]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        (EffectQuery(), {1, 2, 3, 4, 5}),
        (EffectQuery(only_open=True), {1, 4}),
        (EffectQuery(states=("done", "failed")), {2, 3}),
        (EffectQuery(states=("unknown",)), {4, 5}),
        (EffectQuery(states=("unknown",), only_open=True), {4}),
        (EffectQuery(states=("done",), only_open=True), set()),
        (EffectQuery(workflow_id="refund-2"), {2, 4}),
        (EffectQuery(tool="wire"), {3, 4}),
        (EffectQuery(tool="wire", workflow_id="refund-2", only_open=True, states=("unknown",)), {4}),
        (EffectQuery(tool="' OR 1=1 --"), set()),
        (EffectQuery(workflow_id=""), set()),
        (EffectQuery(tool="nul\x00"), set()),
    ],
)
async def test_a_listing_has_what_was_asked_for(place: Place, query: EffectQuery, numbers: set[int]) -> None:
    ledger = place.open()
    for each in SEVERAL:
        await ledger.insert(each)
    assert {found.key for found in await all_of(ledger, query)} == {sha256_of(each) for each in numbers}


@pytest.mark.parametrize("only_open", [True, False])
async def test_a_listing_has_records_as_get_has_them(place: Place, only_open: bool) -> None:
    ledger = place.open()
    await ledger.insert(record())
    await ledger.replace(record(attempts=2), version=1)
    await place.let_pass(HOUR)
    (listed,) = (await ledger.find(EffectQuery(only_open=only_open))).effects
    got = await kept_record(ledger)
    assert listed.model_copy(update={"age": got.age}) == got
    assert listed.age <= got.age


async def test_what_is_opened_and_closed_again_moves_in_and_out_of_the_open_ones(place: Place) -> None:
    ledger = place.open()
    await ledger.insert(record())
    states: list[dict[str, Any]] = [{"state": "done"}, {"state": "unknown"}, CLOSED, {"state": "intended"}]
    seen = []
    for version, changes in enumerate(states, start=1):
        await ledger.replace(record(**changes), version=version)
        seen.append(len(await all_of(ledger, EffectQuery(only_open=True))))
    assert seen == [0, 1, 0, 1]


async def test_open_records_come_the_oldest_first(place: Place) -> None:
    ledger = place.open()
    for number in (3, 1, 2):
        await ledger.insert(record(number))
        await place.let_pass(timedelta(seconds=1))
    await ledger.replace(record(3, attempts=2), version=1)
    found = await all_of(ledger, EffectQuery(only_open=True), limit=2)
    assert [each.tool_call_id for each in found] == ["call_3", "call_1", "call_2"]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        (EffectQuery(), 250),
        (EffectQuery(only_open=True), 125),
        (EffectQuery(workflow_id="refund-0"), 25),
    ],
)
async def test_pages_have_each_record_once(place: Place, query: EffectQuery, count: int) -> None:
    ledger = place.open()
    states = ("done", "intended")
    records = [
        record(number, state=states[number % 2], workflow_id=f"refund-{number // 2 % 5}")
        if query.workflow_id is None
        else record(number, workflow_id=f"refund-{number % 10}")
        for number in range(250)
    ]
    await insert_all(ledger, records)
    found = await all_of(ledger, query, limit=100 if count > 100 else 10)
    assert len(found) == count
    assert len({each.key for each in found}) == count


async def test_the_last_page_has_no_cursor_even_when_it_is_full(place: Place) -> None:
    ledger = place.open()
    for number in range(4):
        await ledger.insert(record(number))
    found = await all_of(ledger, EffectQuery(only_open=True), limit=2)
    assert len(found) == 4
    assert (await ledger.find(EffectQuery(), limit=100)).cursor is None


async def test_an_empty_ledger_has_one_empty_page(place: Place) -> None:
    page = await place.open().find(EffectQuery())
    assert (page.effects, page.cursor) == ((), None)


@pytest.mark.parametrize(
    "cursor", ["garbage", "", "bnVsbA==", "W10=", "WzEsMl0=", "é", "\x00", "e30=", "WyJhIiwgMV0=", "=" * 9]
)
@pytest.mark.parametrize("only_open", [True, False])
async def test_a_cursor_that_is_none_is_a_value_error(place: Place, cursor: str, only_open: bool) -> None:
    if isinstance(place.open(), MemoryLedger) and not cursor:
        pytest.skip("it takes the empty text for the first page")
    with pytest.raises(ValueError):  # noqa: PT011 - a ledger's own words
        await place.open().find(EffectQuery(only_open=only_open), cursor=cursor)


# ---------------------------------------------------------------- use


async def test_a_ledger_that_is_set_up_passes_its_check(place: Place) -> None:
    await place.open().check()


async def test_setting_up_what_is_set_up_does_nothing(place: Place) -> None:
    ledger = place.open()
    await ledger.insert(record())
    assert await migrate(ledger) == []
    assert (await kept_record(ledger)).record == record()


async def test_a_closed_ledger_can_be_closed_and_used_again(place: Place) -> None:
    ledger = place.open()
    await ledger.close()
    await ledger.insert(record())
    await ledger.close()
    await ledger.close()
    assert (await kept_record(ledger)).record == record()


def test_a_ledger_can_be_used_by_one_event_loop_after_another(place: Place) -> None:
    ledger = place.open()

    async def once(number: int) -> bool:
        try:
            return await ledger.insert(record(number))
        finally:
            await ledger.close()

    # In a thread: this one may have a loop already.
    with ThreadPoolExecutor(1) as thread:
        done = [thread.submit(asyncio.run, once(number)).result(timeout=60) for number in (1, 2, 1)]
    assert done == [True, True, False]


# ---------------------------------------------------------------- out of reach


def no_folder(path: Path) -> tuple[EffectLedger, str]:
    (path / "file").write_text("")
    return SQLiteLedger(path / "file" / "ledger.sqlite"), str(path / "file" / "ledger.sqlite")


def no_postgres(path: Path) -> tuple[EffectLedger, str]:
    port = free_port()
    ledger = PostgresLedger(
        f"postgresql://agent:{PASSWORD}@{HOST}:{port}/refunds", timeout=timedelta(seconds=1)
    )
    return ledger, f"{HOST}:{port}/refunds"


def no_dynamodb(path: Path) -> tuple[EffectLedger, str]:
    port = free_port()
    endpoint = f"http://{HOST}:{port}"
    ledger = DynamoDBLedger("refunds", client=dynamodb_client(endpoint), endpoint=endpoint)
    return ledger, f"refunds at {HOST}:{port}"


OPERATIONS: dict[str, Callable[[EffectLedger], Awaitable[Any]]] = {
    "check": lambda ledger: ledger.check(),
    "insert": lambda ledger: ledger.insert(record()),
    "get": lambda ledger: ledger.get(record().key),
    "replace": lambda ledger: ledger.replace(record(), version=1),
    "find": lambda ledger: ledger.find(EffectQuery()),
    "find open": lambda ledger: ledger.find(EffectQuery(only_open=True)),
    "forget": lambda ledger: ledger.forget({record().key: 1}),
    "forget stops": lambda ledger: ledger.forget_stops("default", datetime.now(UTC)),
    "purges": lambda ledger: ledger.purges(),
    "migrate": migrate,
}


@pytest.mark.usefixtures("aws_credentials")
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("out_of_reach", [no_folder, no_postgres, no_dynamodb])
async def test_a_ledger_out_of_reach_is_named_without_its_password(
    out_of_reach: Callable[[Path], tuple[EffectLedger, str]], operation: str, tmp_path: Path
) -> None:
    ledger, place = out_of_reach(tmp_path)
    with pytest.raises(LedgerError) as refused:
        await OPERATIONS[operation](ledger)
    await ledger.close()
    assert place in str(refused.value)
    assert refused.value.__cause__ is not None
    said = f"{refused.value} {refused.value!r} {refused.value.__cause__} {ledger!r}"
    assert PASSWORD not in said
    assert "not-a-secret" not in said


# ---------------------------------------------------------------- by URL


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("state/ledger.sqlite", "state/ledger.sqlite"),
        ("/var/ledger.sqlite", "/var/ledger.sqlite"),
        ("sqlite:///state/ledger.sqlite", "state/ledger.sqlite"),
        ("sqlite:////var/ledger%20one.sqlite", "/var/ledger one.sqlite"),
        ("SQLITE:////var/ledger.sqlite", "/var/ledger.sqlite"),
        ("sqlite:///C:/state/ledger.sqlite", "C:/state/ledger.sqlite"),
        (r"C:\state\ledger.sqlite", r"C:\state\ledger.sqlite"),
    ],
)
def test_a_path_or_sqlite_url_is_a_file(url: str, path: str) -> None:
    assert repr(open_ledger(url)) == repr(SQLiteLedger(Path(path)))


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_a_postgres_url_is_a_database(scheme: str) -> None:
    ledger = open_ledger(f"{scheme}://agent:{PASSWORD}@db.example:5433/refunds?sslmode=require")
    assert isinstance(ledger, PostgresLedger)
    assert "db.example:5433/refunds" in repr(ledger)
    assert PASSWORD not in repr(ledger)


def test_a_dynamodb_url_is_a_table() -> None:
    ledger = open_ledger("dynamodb://refunds?region=eu-west-1&endpoint=http://127.0.0.1:8000")
    assert isinstance(ledger, DynamoDBLedger)
    assert "refunds at 127.0.0.1:8000" in repr(ledger)


def test_credentials_in_the_endpoint_of_a_dynamodb_url_are_refused_and_not_told() -> None:
    with pytest.raises(ConfigurationError, match="dynamodb refunds has a user in it") as refused:
        open_ledger(f"dynamodb://refunds?endpoint=http://agent:{PASSWORD}@127.0.0.1:8000")
    assert PASSWORD not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        " ",
        f"mysql://agent:{PASSWORD}@db/refunds",
        f"postgresql+psycopg://agent:{PASSWORD}@db/refunds",
        f"host=db password={PASSWORD}",
        f"sqlite://agent:{PASSWORD}@db/refunds",
        "sqlite://",
        "sqlite:///",
        "sqlite:refunds",
        "sqlite:///refunds?mode=ro",
        "dynamodb://",
        f"dynamodb://key:{PASSWORD}@refunds",
        "dynamodb://refunds/more",
        "dynamodb://refunds?regoin=eu-west-1",
        "dynamodb://refunds?region=",
        "dynamodb://refunds?region=eu-west-1&region=us-east-1",
    ],
)
def test_another_form_is_refused_with_the_forms_and_without_the_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"sqlite:///.*postgresql://.*dynamodb://TABLE") as refused:
        open_ledger(url)
    assert PASSWORD not in str(refused.value)


@pytest.mark.parametrize("url", ["postgresql://agent:{}%zz@db/refunds", "postgres://agent:{}@[db/refunds"])
def test_a_postgres_url_that_can_not_be_read_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match="postgresql://USER") as refused:
        open_ledger(url.format(PASSWORD))
    assert PASSWORD not in str(refused.value)
    assert refused.value.__cause__ is None
