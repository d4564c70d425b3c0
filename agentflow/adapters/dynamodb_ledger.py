"""The effect ledger in a DynamoDB table, shared by workers anywhere."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from agentflow.activity.machine_clock import uptime_us
from agentflow.adapters.dynamodb_card import DynamoDBCard
from agentflow.adapters.dynamodb_client import (
    DynamoDB,
    DynamoDBClient,
    RefusedRequest,
    place_of_table,
)
from agentflow.adapters.dynamodb_listing import (
    OPEN,
    Item,
    cursor_at,
    listing_request,
    place_in_listing,
    start_at,
    value_of,
)
from agentflow.adapters.dynamodb_purges import DynamoDBPurges
from agentflow.adapters.dynamodb_stops import DynamoDBStops
from agentflow.adapters.dynamodb_table import check_table, create_table
from agentflow.adapters.dynamodb_works import DynamoDBWorks
from agentflow.adapters.ledger_rows import (
    RECORD_COLUMNS,
    all_of_work,
    forgettable,
    from_microseconds,
    limited,
    moment,
    row_of,
    storable,
    stored_effect,
)
from agentflow.contracts.effects import EffectPage, EffectQuery, EffectRecord, StoredEffect
from agentflow.contracts.ledger import Adoption, LedgerIdentity
from agentflow.contracts.purges import MAX_PURGES, Purge
from agentflow.contracts.stops import Stop
from agentflow.contracts.wire import Sha256

MAX_ITEM_BYTES = 409_600
"""DynamoDB's limit: 400 kB, names of attributes included."""

_STAMPS_BYTES = 100
"""What the stamps add to a record, at most."""
_NUMBERS = ("attempts", "lease_us")
_OPTIONAL = ("result", "closed_by", "work", "counts", "chain")
_ABSENT = {"agent": "", "tenant": "", "chain": "", "seal": ""}
"""What an attribute stands for that an item lacks, as it was written before there was one."""
_SCANNED = 1_000
"""How many items one request looks at, or 1 MB of them."""
_REQUESTS = 10
"""How many requests one ``find`` makes; then the page ends, full or not."""


class DynamoDBLedger:
    """Fulfils ``EffectLedger``. ``agentflow ledger migrate`` makes the table.

    All times and ages are by DynamoDB's clock, which the ``Date`` of its answers tells to the second;
    workers' clocks have no say. An age is too little by what that leaves open and by the time that answers
    took: three seconds or so, by which an attempt that follows a dead one comes later.

    Reads of one record are consistent. A listing of what is open is in order, and may lag behind by a
    second; a listing of all is in no order. Each looks at 10,000 records at most: a page may have fewer
    records than its limit, even none, and a cursor. One table takes about 500 writes of tools a second,
    the most that one partition of the index of open records takes.

    A record of more than 400 kB is refused. ``LedgerError`` says so: a tool's result must be smaller.
    """

    def __init__(
        self,
        table: str,
        *,
        client: DynamoDBClient | None = None,
        region: str | None = None,
        endpoint: str | None = None,
        timeout: timedelta = timedelta(seconds=5),
    ) -> None:
        """Describe the ledger; nothing is connected before it is used.

        Args:
            table: Its name.
            client: A boto3 DynamoDB client of yours, whose retries are off. By default one is made from
                boto3's own configuration: environment, profile or role.
            region: For that client; by default what boto3 is configured to.
            endpoint: For that client; by default AWS.
            timeout: How long one request may take.

        Raises:
            ConfigurationError: there are credentials in the endpoint.
        """
        self._table = table
        self._place = place_of_table(table, region, endpoint)
        self._dynamodb = DynamoDB(
            self._place, table, client=client, region=region, endpoint=endpoint, timeout=timeout
        )
        self._stops = DynamoDBStops(self._dynamodb, table)
        self._works = DynamoDBWorks(self._dynamodb, table)
        self._purges = DynamoDBPurges(self._dynamodb)
        self._card = DynamoDBCard(self._dynamodb, table)

    def __repr__(self) -> str:
        return f"DynamoDBLedger({self._place!r})"

    async def check(self) -> None:
        """See whether the table can be used.

        Raises:
            ConfigurationError: it is missing, or isn't made for this; the text says what to do.
            LedgerError: it can't be reached now.
        """
        await check_table(self._dynamodb, self._table)
        await self._card.check()

    async def migrate(self) -> list[str]:
        """Make the table if it isn't there, and wait until it can be used.

        It is paid per request, protected from deletion, and can be restored to a point in time.

        Returns:
            What was made, if anything was.

        Raises:
            ConfigurationError: there is a table of that name which isn't made for this.
            LedgerError: it can't be made.
        """
        made = await create_table(self._dynamodb, self._table)
        await self._card.make()
        return made

    async def identity(self) -> LedgerIdentity:
        """Which ledger it is."""
        return await self._card.identity()

    async def adopt(self, adoption: Adoption) -> LedgerIdentity:
        """Take an operator's word on a table that was restored."""
        return await self._card.adopt(adoption)

    async def insert(self, record: EffectRecord) -> bool:
        """Keep a new record as version 1. False if its key is taken."""
        item = self._item(record) | {"version": {"N": "1"}}
        if record.is_open:
            item["open"] = OPEN
        if record.work is not None and record.counts is None:
            # Before the record is there: whoever looks after an insert must find it.
            await self._works.add(record.work, record.key)
        now_us, upon = await self._dynamodb.now_us(), uptime_us()
        item |= {name: {"N": str(now_us)} for name in ("created_at_us", "written_at_us")}
        is_new = await self._write(
            lambda client: client.put_item(
                TableName=self._table,
                Item=item,
                ConditionExpression="attribute_not_exists(#key)",
                ExpressionAttributeNames={"#key": "key"},
            )
        )
        if is_new:
            await self._see_stamp(record.key, 1, now_us, upon)
        return is_new

    async def get(self, key: Sha256) -> StoredEffect | None:
        """The record as it is now; ``None`` if there is none."""
        answer = await self._dynamodb.call(
            lambda client: client.get_item(TableName=self._table, Key=_key(key), ConsistentRead=True)
        )
        return self._stored(answer["Item"]) if "Item" in answer else None

    async def replace(self, record: EffectRecord, *, version: int) -> bool:
        """Put a record in place of the one with its key and this version. False if that is not there."""
        item = self._item(record)
        del item["key"]
        now_us, upon = await self._dynamodb.now_us(), uptime_us()
        item |= {"version": {"N": str(version + 1)}, "written_at_us": {"N": str(now_us)}}
        gone = [name for name in _OPTIONAL if name not in item]
        if record.is_open:
            item["open"] = OPEN
        else:
            gone.append("open")
        change = "SET " + ", ".join(f"#{name} = :{name}" for name in item)
        if gone:
            change += " REMOVE " + ", ".join(f"#{name}" for name in gone)
        is_changed = await self._write(
            lambda client: client.update_item(
                TableName=self._table,
                Key=_key(record.key),
                UpdateExpression=change,
                ConditionExpression="#version = :expected",
                ExpressionAttributeNames={f"#{name}": name for name in (*item, *gone)},
                ExpressionAttributeValues={f":{name}": value for name, value in item.items()}
                | {":expected": {"N": str(version)}},
            )
        )
        if is_changed:
            await self._see_stamp(record.key, version + 1, now_us, upon)
        return is_changed

    async def of_work(self, work: Sha256) -> tuple[StoredEffect, ...]:
        """The records of one piece of work, the oldest first."""
        found = [await self.get(key) for key in await self._works.keys(work)]
        own = [stored for stored in found if stored is not None and stored.record.counts is None]
        return all_of_work(sorted(own, key=_by_age), self._place)

    async def find(self, query: EffectQuery, *, limit: int = 100, cursor: str | None = None) -> EffectPage:
        """Records: those that are open the oldest first, others in no order.

        Raises:
            ValueError: the cursor is no cursor of this ledger, or of another listing.
            LedgerError: the table can't be read.
        """
        limited(limit)
        start = None if cursor is None else start_at(cursor, only_open=query.only_open)
        request = listing_request(self._table, query, _SCANNED)
        found: list[Item] = []
        for _ in range(_REQUESTS):
            more = {} if start is None else {"ExclusiveStartKey": start}
            answer = await self._listed(request | more, only_open=query.only_open)
            found += answer["Items"]
            start = answer.get("LastEvaluatedKey")
            if len(found) > limit:
                found, start = found[:limit], place_in_listing(found[limit - 1], only_open=query.only_open)
            if start is None or len(found) >= limit:
                break
        page = tuple(self._stored(item) for item in found)
        return EffectPage(effects=page, cursor=None if start is None else cursor_at(start))

    async def clock(self) -> datetime:
        """The time now, by DynamoDB's clock."""
        return moment(await self._dynamodb.time_us())

    async def forget(self, versions: Mapping[Sha256, int]) -> int:
        """Forget records that are not open and are of these versions still, one by one; answer how many."""
        return sum([await self._remove(key, version) for key, version in forgettable(versions).items()])

    async def forget_stops(self, namespace: str, before: datetime) -> int:
        """Forget the stops of a namespace that were lifted before a time; answer how many."""
        return await self._stops.forget(namespace, before)

    async def keep_purge(self, purge: Purge) -> None:
        """Put a round of forgetting on record."""
        await self._purges.keep(purge)

    async def purges(self, *, limit: int = MAX_PURGES) -> tuple[Purge, ...]:
        """The rounds of forgetting on record, the newest first."""
        return await self._purges.last(limited(limit))

    async def stops(self, namespace: str) -> tuple[Stop, ...]:
        """The stops that hold in a Temporal namespace, the oldest first."""
        return await self._stops.holding(namespace)

    async def stop(self, namespace: str, key: str, *, by: str, reason: str = "") -> bool:
        """Forbid something. False if a stop of that key holds already.

        All that hold in a namespace are one item: some 2,000 revoked keys are the most that it takes, beside
        the freezes.
        """
        return await self._stops.stop(namespace, key, by, reason)

    async def lift(self, namespace: str, key: str, *, by: str, reason: str = "") -> bool:
        """End the stop of a key. False if none holds."""
        return await self._stops.lift(namespace, key, by, reason)

    async def stops_log(self, namespace: str, *, limit: int = 100) -> tuple[Stop, ...]:
        """The last stops of a namespace, those that were lifted too, the newest first."""
        return await self._stops.log(namespace, limit)

    async def close(self) -> None:
        """Close the connections. A later operation opens new ones."""
        await self._dynamodb.close()

    async def _remove(self, key: Sha256, version: int) -> bool:
        try:
            answer = await self._dynamodb.call(
                lambda client: client.delete_item(
                    TableName=self._table,
                    Key=_key(key),
                    ConditionExpression="#version = :expected AND attribute_not_exists(#open)",
                    ExpressionAttributeNames={"#version": "version", "#open": "open"},
                    ExpressionAttributeValues={":expected": {"N": str(version)}},
                    ReturnValues="ALL_OLD",
                ),
                expect=("ConditionalCheckFailedException",),
            )
        except RefusedRequest:
            return False
        if "work" in answer["Attributes"]:
            await self._works.take(value_of(answer["Attributes"], "work"), storable(key))
        return True

    async def _see_stamp(self, key: Sha256, version: int, stamp_us: int, upon_us: int) -> None:
        """Stamp a record anew if its stamp was too early: machine and clock may have stood still together.

        Args:
            key: The record's.
            version: As it was written just now.
            stamp_us: What it was stamped with.
            upon_us: When that was reckoned, by this machine's clock.
        """
        if self._dynamodb.past_us() <= stamp_us + uptime_us() - upon_us:
            return
        now = {"N": str(await self._dynamodb.now_us())}
        is_ours = await self._write(
            lambda client: client.update_item(
                TableName=self._table,
                Key=_key(key),
                UpdateExpression="SET #written = :now",
                ConditionExpression="#version = :version",
                ExpressionAttributeNames={"#written": "written_at_us", "#version": "version"},
                ExpressionAttributeValues={":now": now, ":version": {"N": str(version)}},
            )
        )
        if not is_ours:
            raise self._dynamodb.error(
                f"this machine stood still while it wrote record {key}, which another has changed meanwhile"
            )

    async def _listed(self, request: Mapping[str, Any], *, only_open: bool) -> Any:
        return await self._dynamodb.call(
            lambda client: client.query(**request) if only_open else client.scan(**request)
        )

    async def _write(self, work: Callable[[DynamoDBClient], Any]) -> bool:
        try:
            await self._dynamodb.call(work, expect=("ConditionalCheckFailedException",))
        except RefusedRequest:
            return False
        return True

    def _item(self, record: EffectRecord) -> Item:
        item: Item = {
            name: {"N": str(value)} if name in _NUMBERS else {"S": value}
            for name, value in zip(RECORD_COLUMNS, row_of(record), strict=True)
            if value is not None
        }
        size = _STAMPS_BYTES + sum(len(name) + len(value_of(item, name).encode()) for name in item)
        if size > MAX_ITEM_BYTES:
            raise self._dynamodb.error(
                f"the record of a call of {record.tool} is {size} bytes; DynamoDB's limit is "
                f"{MAX_ITEM_BYTES} bytes: let the tool answer less, or use another ledger"
            )
        return item

    def _stored(self, item: Item) -> StoredEffect:
        row: Sequence[Any] = [
            int(value_of(item, name))
            if name in _NUMBERS
            else value_of(item, name)
            if name in item
            else _ABSENT.get(name)
            for name in RECORD_COLUMNS
        ]
        written_at_us = int(value_of(item, "written_at_us"))
        return stored_effect(
            row,
            version=int(value_of(item, "version")),
            age=from_microseconds(self._dynamodb.past_us() - written_at_us),
            created_at=moment(int(value_of(item, "created_at_us"))),
            written_at=moment(written_at_us),
            place=self._place,
        )


def _key(key: str) -> Item:
    return {"key": {"S": storable(key)}}


def _by_age(stored: StoredEffect) -> tuple[datetime, str]:
    return stored.created_at, stored.record.key
