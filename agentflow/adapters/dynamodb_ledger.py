"""The effect ledger in a DynamoDB table, shared by workers anywhere."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from agentflow.adapters.dynamodb_card import DynamoDBCard
from agentflow.adapters.dynamodb_client import (
    DynamoDB,
    DynamoDBClient,
    RefusedRequest,
    place_of_table,
)
from agentflow.adapters.dynamodb_stops import LIFTED, DynamoDBStops
from agentflow.adapters.dynamodb_table import OPEN_INDEX, check_table, create_table
from agentflow.adapters.dynamodb_works import DynamoDBWorks
from agentflow.adapters.ledger_rows import (
    RECORD_COLUMNS,
    all_of_work,
    cursor_after,
    from_microseconds,
    limited,
    microseconds,
    moment,
    place_of,
    row_of,
    storable,
    stored_effect,
)
from agentflow.contracts.effects import EffectPage, EffectQuery, EffectRecord, StoredEffect
from agentflow.contracts.ledger import Adoption, LedgerIdentity
from agentflow.contracts.stops import Stop
from agentflow.contracts.wire import Sha256

Item = dict[str, dict[str, Any]]
"""As DynamoDB has it: ``{"attempts": {"N": "1"}, ...}``."""

MAX_ITEM_BYTES = 409_600
"""DynamoDB's limit: 400 kB, names of attributes included."""

_STAMPS_BYTES = 100
"""What the stamps add to a record, at most."""
_NUMBERS = ("attempts", "lease_us")
_OPTIONAL = ("result", "closed_by", "work", "counts", "chain")
_ABSENT = {"agent": "", "tenant": "", "chain": ""}
"""What an attribute stands for that an item lacks, as it was written before there was one."""
_SCANNED = 1_000
"""How many items one request looks at, or 1 MB of them."""
_REQUESTS = 10
"""How many requests one ``find`` makes; then the page ends, full or not."""
_OPEN = {"S": "1"}


class DynamoDBLedger:
    """Fulfils ``EffectLedger``. ``agentflow ledger migrate`` makes the table.

    DynamoDB has no clock that a write could be stamped with, so the worker that writes stamps it by its own,
    and an age is by what two workers' clocks may differ less than it seems to be. A worker whose clock is
    further off could act on a record whose owner is still at work: keep the clocks in step (NTP).

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
        max_clock_skew: timedelta = timedelta(seconds=60),
        timeout: timedelta = timedelta(seconds=5),
    ) -> None:
        """Describe the ledger; nothing is connected before it is used.

        Args:
            table: Its name.
            client: A boto3 DynamoDB client of yours, whose retries are off. By default one is made from
                boto3's own configuration: environment, profile or role.
            region: For that client; by default what boto3 is configured to.
            endpoint: For that client; by default AWS.
            max_clock_skew: How much two workers' clocks may differ. Clocks under NTP differ by milliseconds.
                A minute covers a virtual machine that was paused and a time server that was wrong, and
                costs no more than that another attempt comes a minute later after a worker has died.
            timeout: How long one request may take.

        Raises:
            ConfigurationError: there are credentials in the endpoint.
        """
        self._table = table
        self._skew = max_clock_skew
        self._place = place_of_table(table, region, endpoint)
        self._dynamodb = DynamoDB(
            self._place, client=client, region=region, endpoint=endpoint, timeout=timeout
        )
        self._stops = DynamoDBStops(self._dynamodb, table)
        self._works = DynamoDBWorks(self._dynamodb, table)
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
        now = {"N": str(_now_us())}
        if record.work is not None:
            # Before the record is there: whoever looks after an insert must find it.
            await self._works.add(record.work, record.key)
        item = self._item(record) | {"version": {"N": "1"}, "created_at_us": now, "written_at_us": now}
        if record.is_open:
            item["open"] = _OPEN
        return await self._write(
            lambda client: client.put_item(
                TableName=self._table,
                Item=item,
                ConditionExpression="attribute_not_exists(#key)",
                ExpressionAttributeNames={"#key": "key"},
            )
        )

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
        item |= {"version": {"N": str(version + 1)}, "written_at_us": {"N": str(_now_us())}}
        gone = [name for name in _OPTIONAL if name not in item]
        if record.is_open:
            item["open"] = _OPEN
        else:
            gone.append("open")
        change = "SET " + ", ".join(f"#{name} = :{name}" for name in item)
        if gone:
            change += " REMOVE " + ", ".join(f"#{name}" for name in gone)
        return await self._write(
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

    async def of_work(self, work: Sha256) -> tuple[StoredEffect, ...]:
        """The records of one piece of work, the oldest first."""
        keys = await self._works.keys(work)
        found = [stored for key in keys if (stored := await self.get(key)) is not None]
        return all_of_work(sorted(found, key=_by_age), self._place)

    async def find(self, query: EffectQuery, *, limit: int = 100, cursor: str | None = None) -> EffectPage:
        """Records: those that are open the oldest first, others in no order.

        Raises:
            ValueError: the cursor is no cursor of this ledger, or of another listing.
            LedgerError: the table can't be read.
        """
        limited(limit)
        start = None if cursor is None else _start(cursor, only_open=query.only_open)
        names, values, filters = _filters(query)
        request: dict[str, Any] = {"TableName": self._table, "Limit": _SCANNED}
        if query.only_open:
            names["#open"], values[":open"] = "open", _OPEN
            request |= {"IndexName": OPEN_INDEX, "KeyConditionExpression": "#open = :open"}
        else:
            request["ConsistentRead"] = True
            # Not the stops, which are in the same table.
            names["#tool"] = "tool"
            filters.append("attribute_exists(#tool)")
        if filters:
            request["FilterExpression"] = " AND ".join(filters)
        if names:
            request["ExpressionAttributeNames"] = names
        if values:
            request["ExpressionAttributeValues"] = values
        found: list[Item] = []
        for _ in range(_REQUESTS):
            more = {} if start is None else {"ExclusiveStartKey": start}
            answer = await self._listed(request | more, only_open=query.only_open)
            found += answer["Items"]
            start = answer.get("LastEvaluatedKey")
            if len(found) > limit:
                found, start = found[:limit], _place_in_listing(found[limit - 1], only_open=query.only_open)
            if start is None or len(found) >= limit:
                break
        page = tuple(self._stored(item) for item in found)
        return EffectPage(effects=page, cursor=None if start is None else _cursor(start))

    async def purge(self, older_than: timedelta) -> int:
        """Forget the records that are not open and were last written longer ago; answer how many.

        It reads the whole table, and takes as long as that takes.
        """
        before = _now_us() - microseconds(older_than) - microseconds(self._skew)
        request: dict[str, Any] = {
            "TableName": self._table,
            "FilterExpression": "#written < :before"
            " AND (attribute_not_exists(#open) OR begins_with(#open, :lifted))",
            "ProjectionExpression": "#key, #version, #work",
            "ExpressionAttributeNames": {
                "#open": "open",
                "#written": "written_at_us",
                "#key": "key",
                "#version": "version",
                "#work": "work",
            },
            "ExpressionAttributeValues": {":before": {"N": str(before)}, ":lifted": {"S": LIFTED}},
        }
        gone, more = 0, {}
        while True:
            answer = await self._listed(request | more, only_open=False)
            for item in answer["Items"]:
                # Only as it was seen: it may have been written meanwhile.
                gone += await self._remove(item)
            if "LastEvaluatedKey" not in answer:
                return gone
            more = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

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

    async def _remove(self, item: Item) -> bool:
        is_gone = await self._write(
            lambda client: client.delete_item(
                TableName=self._table,
                Key={"key": item["key"]},
                ConditionExpression="#version = :expected",
                ExpressionAttributeNames={"#version": "version"},
                ExpressionAttributeValues={":expected": item["version"]},
            )
        )
        if is_gone and "work" in item:
            await self._works.take(_value(item, "work"), _value(item, "key"))
        return is_gone

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
        size = _STAMPS_BYTES + sum(len(name) + len(_value(item, name).encode()) for name in item)
        if size > MAX_ITEM_BYTES:
            raise self._dynamodb.error(
                f"the record of a call of {record.tool} is {size} bytes; DynamoDB's limit is "
                f"{MAX_ITEM_BYTES} bytes: let the tool answer less, or use another ledger"
            )
        return item

    def _stored(self, item: Item) -> StoredEffect:
        row: Sequence[Any] = [
            int(_value(item, name))
            if name in _NUMBERS
            else _value(item, name)
            if name in item
            else _ABSENT.get(name)
            for name in RECORD_COLUMNS
        ]
        written_at_us = int(_value(item, "written_at_us"))
        return stored_effect(
            row,
            version=int(_value(item, "version")),
            age=from_microseconds(_now_us() - written_at_us) - self._skew,
            created_at=moment(int(_value(item, "created_at_us"))),
            written_at=moment(written_at_us),
            place=self._place,
        )


def _key(key: str) -> Item:
    return {"key": {"S": storable(key)}}


def _by_age(stored: StoredEffect) -> tuple[datetime, str]:
    return stored.created_at, stored.record.key


def _value(item: Item, name: str) -> str:
    return next(iter(item[name].values()))


def _filters(query: EffectQuery) -> tuple[dict[str, str], dict[str, Any], list[str]]:
    """A query as names, values and conditions; that it is for open records only is left to the index."""
    names: dict[str, str] = {}
    values: dict[str, Any] = {}
    conditions: list[str] = []
    if query.states:
        names["#state"] = "state"
        values |= {f":state{number}": {"S": state} for number, state in enumerate(query.states)}
        conditions.append(f"#state IN ({', '.join(values)})")
    for name, wanted in query.equal.items():
        if wanted is not None:
            names[f"#{name}"], values[f":{name}"] = name, {"S": storable(wanted)}
            conditions.append(f"#{name} = :{name}")
    return names, values, conditions


def _place_in_listing(item: Item, *, only_open: bool) -> Item:
    return {name: item[name] for name in (("key", "open", "created_at_us") if only_open else ("key",))}


def _cursor(start: Item) -> str:
    if "open" in start:
        return cursor_after("open", int(_value(start, "created_at_us")), _value(start, "key"))
    return cursor_after("all", _value(start, "key"))


def _start(cursor: str, *, only_open: bool) -> Item:
    if only_open:
        listing, created_at_us, key = place_of(cursor, str, int, str)
        start: Item = {"open": _OPEN, "created_at_us": {"N": str(created_at_us)}, "key": {"S": key}}
    else:
        listing, key = place_of(cursor, str, str)
        start = {"key": {"S": key}}
    if listing != ("open" if only_open else "all"):
        raise ValueError(f"{cursor[:80]!r} is no cursor of this listing")
    return start


def _now_us() -> int:
    return time.time_ns() // 1_000
