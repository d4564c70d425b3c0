"""What is special about a ledger in DynamoDB: the workers' clocks, the table, and the sizes of things."""

import asyncio
from collections.abc import AsyncIterator, Callable
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
from tests.adapters.ledger_places import UNSURE, DynamoDBPlace, dynamodb_client, record

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def empty(dynamodb_server: str, aws_credentials: None) -> DynamoDBPlace:
    """No table yet."""
    return DynamoDBPlace(dynamodb_server)


@pytest.fixture
async def ledger(dynamodb: DynamoDBPlace) -> AsyncIterator[DynamoDBLedger]:
    """One with a client of its own making."""
    ledger = DynamoDBLedger(dynamodb.table, region="eu-west-1", endpoint=dynamodb.endpoint)
    yield ledger
    await ledger.close()


async def items_of(place: DynamoDBPlace) -> list[dict[str, Any]]:
    client = dynamodb_client(place.endpoint)
    return (await asyncio.to_thread(client.scan, TableName=place.table))["Items"]


# ---------------------------------------------------------------- clocks


async def died_after_paying(bank: Bank, ledger: DynamoDBLedger) -> None:
    class Killed(BaseException):
        pass

    bank.error = Killed()
    with pytest.raises(Killed):
        await carried_out(bank.pay, ledger)
    bank.error = None


async def bank_failure(bank: Bank, ledger: DynamoDBLedger) -> Any:
    return await failure(bank.pay, ledger, attempt=2)


async def test_a_worker_whose_clock_is_wrong_changes_no_stamp_and_no_age(
    ledger: DynamoDBLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As far as this process can see, it is 1970.
    monkeypatch.setattr("time.time", lambda: 0.0)
    monkeypatch.setattr("time.time_ns", lambda: 0)
    await ledger.insert(record())
    await ledger.stop("default", "fleet", by="olga")
    found = await ledger.get(record().key)
    assert found is not None
    (stop,) = await ledger.stops("default")
    assert found.written_at.year > 2000
    assert stop.since.year > 2000
    assert (await ledger.clock()).year > 2000
    assert found.age < timedelta(minutes=1)


class OfWhoKnowsWhen:
    """A client whose answers have no date, as a proxy may cut it off."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        def undated(**request: Any) -> Any:
            answer = getattr(self._client, name)(**request)
            answer["ResponseMetadata"]["HTTPHeaders"].pop("date", None)
            return answer

        return undated


async def test_answers_without_a_date_are_a_ledger_error_with_what_to_do(dynamodb: DynamoDBPlace) -> None:
    client = OfWhoKnowsWhen(dynamodb_client(dynamodb.endpoint))
    ledger = DynamoDBLedger(dynamodb.table, endpoint=dynamodb.endpoint, client=client)
    with pytest.raises(LedgerError, match=r"no Date.*boto3 client"):
        await ledger.insert(record())


async def test_a_record_that_was_stamped_by_a_clock_that_stood_still_is_stamped_anew(
    dynamodb: DynamoDBPlace, ledger: DynamoDBLedger
) -> None:
    await ledger.insert(record(1))
    # The machine stands still for an hour, so that its uptime is an hour less than it would be.
    behind(ledger, HOUR)
    await ledger.insert(record(2))
    behind(ledger, HOUR)
    await ledger.replace(record(1, attempts=2), version=1)
    for number in (1, 2):
        found = await dynamodb.open().get(sha256_of(number))
        assert found is not None
        assert found.age < timedelta(minutes=1)


async def test_a_record_that_another_changed_while_the_machine_stood_still_is_not_ours(
    dynamodb: DynamoDBPlace, ledger: DynamoDBLedger
) -> None:
    await ledger.insert(record(1))
    other = dynamodb.open()
    write = ledger._write

    async def written(work: Callable[[Any], Any]) -> bool:
        done = await write(work)
        await other.replace(record(2, owner="another"), version=1)
        return done

    ledger._write = written
    behind(ledger, HOUR)
    with pytest.raises(LedgerError, match="stood still while it wrote"):
        await ledger.insert(record(2))


def behind(ledger: DynamoDBLedger, by: timedelta) -> None:
    clock = ledger._dynamodb._clock
    us = by // timedelta(microseconds=1)
    known = clock._ahead
    assert known is not None
    clock._ahead = known._replace(least_us=known.least_us - us, most_us=known.most_us - us)
    clock._latest_us -= us


async def test_an_attempt_is_waited_for_whatever_the_next_ones_clock_says(
    dynamodb: DynamoDBPlace, ledger: DynamoDBLedger
) -> None:
    bank = Bank()
    await died_after_paying(bank, ledger)
    await dynamodb.let_pass(LIMIT + DELAY - UNSURE)
    assert (await bank_failure(bank, ledger)).type == "EffectBusy"
    await dynamodb.let_pass(2 * UNSURE)
    assert (await bank_failure(bank, ledger)).type == EFFECT_UNKNOWN_ERROR
    assert bank.payments == ["ada"]


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
