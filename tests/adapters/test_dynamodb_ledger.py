"""What is special about a ledger in DynamoDB: the workers' clocks, the table, and the sizes of things."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from agentflow.adapters import dynamodb_ledger
from agentflow.adapters.dynamodb_ledger import DynamoDBLedger
from agentflow.adapters.ledgers import migrate, open_ledger
from agentflow.contracts.effects import EffectQuery
from agentflow.contracts.names import EFFECT_UNKNOWN_ERROR
from agentflow.contracts.wire import sha256_of
from agentflow.errors import ConfigurationError, LedgerError
from tests.activity.outside import DELAY, LIMIT, Bank, carried_out, failure
from tests.adapters.ledger_places import SKEW, DynamoDBPlace, dynamodb_client, record

SECOND = timedelta(seconds=1)


@pytest.fixture
def empty(dynamodb_server: str, aws_credentials: None) -> DynamoDBPlace:
    """No table yet."""
    return DynamoDBPlace(dynamodb_server)


@pytest.fixture
async def ledger(dynamodb: DynamoDBPlace) -> AsyncIterator[DynamoDBLedger]:
    """One with a client of its own making."""
    ledger = DynamoDBLedger(
        dynamodb.table, region="eu-west-1", endpoint=dynamodb.endpoint, max_clock_skew=SKEW
    )
    yield ledger
    await ledger.close()


def another_clock(patch: pytest.MonkeyPatch, off_by: timedelta) -> None:
    """Go on as a worker whose clock differs by so much from that of the worker before."""
    off_by_us = off_by // timedelta(microseconds=1)
    patch.setattr(dynamodb_ledger, "_now_us", lambda: time.time_ns() // 1_000 + off_by_us)


async def items_of(place: DynamoDBPlace) -> list[dict[str, Any]]:
    client = dynamodb_client(place.endpoint)
    return (await asyncio.to_thread(client.scan, TableName=place.table))["Items"]


# ---------------------------------------------------------------- clocks that differ


async def died_after_paying(bank: Bank, ledger: DynamoDBLedger) -> None:
    class Killed(BaseException):
        pass

    bank.error = Killed()
    with pytest.raises(Killed):
        await carried_out(bank.pay, ledger)
    bank.error = None


async def bank_failure(bank: Bank, ledger: DynamoDBLedger) -> Any:
    return await failure(bank.pay, ledger, attempt=2)


@pytest.mark.parametrize("off_by", [SKEW, -SKEW, timedelta(0)])
async def test_a_worker_whose_clock_is_off_by_the_allowance_does_not_act_while_another_may(
    dynamodb: DynamoDBPlace, ledger: DynamoDBLedger, monkeypatch: pytest.MonkeyPatch, off_by: timedelta
) -> None:
    bank = Bank()
    await died_after_paying(bank, ledger)
    await dynamodb.let_pass(LIMIT + DELAY - timedelta(seconds=20))
    another_clock(monkeypatch, off_by)
    assert (await bank_failure(bank, ledger)).type == "EffectBusy"
    assert bank.payments == ["ada"]


async def test_recovery_comes_later_by_the_allowance(dynamodb: DynamoDBPlace, ledger: DynamoDBLedger) -> None:
    bank = Bank()
    await died_after_paying(bank, ledger)
    await dynamodb.let_pass(LIMIT + DELAY)
    assert (await bank_failure(bank, ledger)).type == "EffectBusy"
    await dynamodb.let_pass(SKEW)
    assert (await bank_failure(bank, ledger)).type == EFFECT_UNKNOWN_ERROR


async def test_an_age_is_never_negative(ledger: DynamoDBLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    another_clock(monkeypatch, timedelta(hours=1))
    await ledger.insert(record())
    another_clock(monkeypatch, timedelta(0))
    found = await ledger.get(record().key)
    assert found is not None
    assert found.age == timedelta(0)


async def test_of_two_workers_with_different_clocks_one_wins(
    dynamodb: DynamoDBPlace, ledger: DynamoDBLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ledger.insert(record())
    another_clock(monkeypatch, timedelta(days=365))
    assert not await ledger.insert(record(owner="another"))
    assert await ledger.replace(record(owner="another"), version=1)
    another_clock(monkeypatch, timedelta(0))
    assert not await ledger.replace(record(attempts=2), version=1)


async def test_a_worker_whose_clock_is_ahead_by_the_allowance_forgets_nothing_too_early(
    ledger: DynamoDBLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ledger.insert(record(state="done"))
    another_clock(monkeypatch, SKEW + timedelta(minutes=59))
    assert await ledger.purge(timedelta(hours=1)) == 0
    another_clock(monkeypatch, SKEW + timedelta(minutes=61))
    assert await ledger.purge(timedelta(hours=1)) == 1


# ---------------------------------------------------------------- the table


async def test_migrating_twice_makes_the_table_once(empty: DynamoDBPlace) -> None:
    ledger = empty.open()
    assert await migrate(ledger) == [f"table {empty.table}"]
    assert await migrate(ledger) == []
    await ledger.check()


async def test_of_five_that_migrate_at_once_one_makes_the_table(empty: DynamoDBPlace) -> None:
    done = await asyncio.gather(*(migrate(empty.open()) for _ in range(5)))
    assert sorted(done) == [[], [], [], [], [f"table {empty.table}"]]


async def test_a_new_table_is_paid_by_use_kept_from_deletion_and_can_be_restored(
    dynamodb: DynamoDBPlace,
) -> None:
    client = dynamodb_client(dynamodb.endpoint)
    table = (await asyncio.to_thread(client.describe_table, TableName=dynamodb.table))["Table"]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert table["DeletionProtectionEnabled"]
    backups = await asyncio.to_thread(client.describe_continuous_backups, TableName=dynamodb.table)
    recovery = backups["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
    assert recovery["PointInTimeRecoveryStatus"] == "ENABLED"


async def test_a_missing_table_is_told_with_the_command_that_makes_it(empty: DynamoDBPlace) -> None:
    ledger = empty.open()
    with pytest.raises(ConfigurationError, match="no table yet: run `agentflow ledger migrate`"):
        await ledger.check()
    with pytest.raises(LedgerError, match="agentflow ledger migrate"):
        await ledger.insert(record())


async def test_a_table_that_was_made_for_something_else_is_refused(empty: DynamoDBPlace) -> None:
    client = dynamodb_client(empty.endpoint)
    await asyncio.to_thread(
        client.create_table,
        TableName=empty.table,
        AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    ledger = empty.open()
    for refused in (ledger.check(), migrate(ledger)):
        with pytest.raises(ConfigurationError, match=r"no index open_by_age.*agentflow ledger migrate"):
            await refused


async def test_only_open_records_are_in_the_index_of_open_ones(
    dynamodb: DynamoDBPlace, ledger: DynamoDBLedger
) -> None:
    await ledger.insert(record(1))
    await ledger.insert(record(2, state="done"))
    await ledger.insert(record(3))
    await ledger.replace(record(3, state="unknown", closed_by="ann"), version=1)
    marked = {item["key"]["S"] for item in await items_of(dynamodb) if "open" in item}
    assert marked == {sha256_of(1)}


# ---------------------------------------------------------------- sizes


async def test_a_record_that_is_too_big_is_refused_with_its_size_before_it_is_sent(
    empty: DynamoDBPlace,
) -> None:
    # There is no table: a request would say so.
    ledger = empty.open()
    big = record(result="é" * 250_000)
    for change in (ledger.insert(big), ledger.replace(big, version=1)):
        with pytest.raises(LedgerError, match=r"50\d{4} bytes; DynamoDB's limit is 409600 bytes"):
            await change


async def test_pages_that_end_in_the_middle_of_an_answer_lose_nothing(
    ledger: DynamoDBLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the records were so big that an answer of DynamoDB held three.
    monkeypatch.setattr(dynamodb_ledger, "_SCANNED", 3)
    monkeypatch.setattr(dynamodb_ledger, "_REQUESTS", 2)
    for number in range(20):
        await ledger.insert(record(number, tool="pay" if number % 4 else "wire"))
    for query, count in [
        (EffectQuery(), 20),
        (EffectQuery(only_open=True), 20),
        (EffectQuery(tool="wire"), 5),
        (EffectQuery(tool="wire", only_open=True), 5),
    ]:
        for limit in (1, 4, 100):
            seen: list[str] = []
            cursor = None
            while True:
                page = await ledger.find(query, limit=limit, cursor=cursor)
                seen += [effect.record.key for effect in page.effects]
                assert len(page.effects) <= limit
                if (cursor := page.cursor) is None:
                    break
            assert (len(seen), len(set(seen))) == (count, count)


async def test_a_cursor_of_one_listing_is_none_of_the_other(ledger: DynamoDBLedger) -> None:
    for number in range(3):
        await ledger.insert(record(number))
    cursors = [(await ledger.find(EffectQuery(only_open=only), limit=1)).cursor for only in (True, False)]
    for only, cursor in zip((False, True), cursors, strict=True):
        with pytest.raises(ValueError, match="no cursor"):
            await ledger.find(EffectQuery(only_open=only), cursor=cursor)


# ---------------------------------------------------------------- the client


@pytest.fixture
def no_credentials(aws_credentials: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.mark.usefixtures("no_credentials")
async def test_missing_credentials_are_a_ledger_error(dynamodb_server: str) -> None:
    ledger = open_ledger(f"dynamodb://refunds?region=eu-west-1&endpoint={dynamodb_server}")
    with pytest.raises(LedgerError, match=r"dynamodb refunds at .*credentials"):
        await ledger.check()
    await ledger.close()


@pytest.mark.usefixtures("no_credentials")
async def test_a_missing_region_is_told_with_how_to_give_it() -> None:
    ledger = open_ledger("dynamodb://refunds")
    with pytest.raises(ConfigurationError, match=r"dynamodb refunds can't be used: .*region=.*AWS_REGION"):
        await ledger.check()
    await ledger.close()


async def test_a_request_is_sent_once(dynamodb_server: str, aws_credentials: None) -> None:
    seen = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        await reader.readuntil(b"\r\n\r\n")
        seen += 1
        writer.write(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        ledger = DynamoDBLedger("refunds", region="eu-west-1", endpoint=f"http://127.0.0.1:{port}")
        with pytest.raises(LedgerError, match="500"):
            await ledger.insert(record())
        await ledger.close()
    assert seen == 1


async def test_a_server_that_does_not_answer_is_a_ledger_error(aws_credentials: None) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as server:
        endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ledger = DynamoDBLedger("refunds", region="eu-west-1", endpoint=endpoint, timeout=5 * SECOND)
        with pytest.raises(LedgerError, match=r"refunds at 127\.0\.0\.1"):
            await ledger.get(record().key)
        await ledger.close()
