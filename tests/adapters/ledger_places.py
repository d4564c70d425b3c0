"""Places where an effect ledger can be kept, each of which a test can let time pass in."""

import functools
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import boto3
import psycopg
from botocore.config import Config

from agentflow.adapters.dynamodb_ledger import DynamoDBLedger
from agentflow.adapters.postgres_ledger import PostgresLedger
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.effects import EffectQuery, EffectRecord
from agentflow.contracts.tools import ToolCallId
from agentflow.contracts.wire import sha256_of
from agentflow.ports.ledger import EffectLedger
from agentflow.testing import MemoryLedger

Kind = Literal["sqlite", "postgres", "dynamodb", "memory"]

UNSURE = timedelta(seconds=10)
"""What an age by DynamoDB's clock may be too little by: its dates have whole seconds, and answers take time."""


class Place:
    """Where a ledger is kept. Each adapter that ``open`` makes is closed in the end."""

    def __init__(self) -> None:
        self._opened: list[EffectLedger] = []

    def open(self) -> EffectLedger:
        """A new adapter, as another worker has one."""
        ledger = self._new()
        self._opened.append(ledger)
        return ledger

    async def set_up(self) -> None:
        """Do what `agentflow ledger migrate` does."""

    async def let_pass(self, time: timedelta) -> None:
        """Make every record as much older, which is quicker than to wait."""
        raise NotImplementedError

    async def close(self) -> None:
        for ledger in self._opened:
            await ledger.close()

    def _new(self) -> EffectLedger:
        raise NotImplementedError


class SQLitePlace(Place):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def _new(self) -> EffectLedger:
        return SQLiteLedger(self.path)

    async def let_pass(self, time: timedelta) -> None:
        for statement in backdating(time):
            await self.execute(statement)
        # Before the machine started, if need be: ages only subtract.
        back = time // timedelta(microseconds=1)
        await self.execute(f"UPDATE agentflow_effects SET written_up_us = written_up_us - {back}")

    async def execute(self, sql: str) -> list[Any]:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            return connection.execute(sql).fetchall()


class PostgresPlace(Place):
    """A schema of its own on a server."""

    def __init__(self, server: str) -> None:
        super().__init__()
        self.server = server
        self.schema = f"test_{uuid4().hex}"
        self.conninfo = f"{server}{'&' if '?' in server else '?'}options=-csearch_path%3D{self.schema}"

    def _new(self) -> EffectLedger:
        # As many tests' workers as there are, each has its connections.
        return PostgresLedger(self.conninfo, pool_size=1)

    async def make_schema(self) -> None:
        await self.execute(f"CREATE SCHEMA {self.schema}")

    async def set_up(self) -> None:
        await self.make_schema()
        ledger = PostgresLedger(self.conninfo)
        await ledger.migrate()
        await ledger.close()

    async def let_pass(self, time: timedelta) -> None:
        for statement in backdating(time):
            await self.execute(statement)

    async def execute(self, sql: str) -> list[Any]:
        connection = await psycopg.AsyncConnection.connect(self.conninfo, autocommit=True)
        async with connection:
            cursor = await connection.execute(sql.encode())
            return await cursor.fetchall() if cursor.description else []


class DynamoDBPlace(Place):
    """A table of its own on a server."""

    def __init__(self, endpoint: str) -> None:
        super().__init__()
        self.endpoint = endpoint
        self.table = f"test-{uuid4().hex}"

    def _new(self) -> DynamoDBLedger:
        client = dynamodb_client(self.endpoint)
        return DynamoDBLedger(self.table, endpoint=self.endpoint, client=client)

    async def set_up(self) -> None:
        await self._new().migrate()

    async def let_pass(self, time: timedelta) -> None:
        client = dynamodb_client(self.endpoint)
        back = {"N": str(-(time // timedelta(microseconds=1)))}
        for item in (item for item in self._items(client) if "written_at_us" in item):
            client.update_item(
                TableName=self.table,
                Key={"key": item["key"]},
                UpdateExpression="ADD created_at_us :back, written_at_us :back",
                ExpressionAttributeValues={":back": back},
            )

    async def restore(self) -> None:
        """Put another table with the same items in place of this one."""
        client = dynamodb_client(self.endpoint)
        items = self._items(client)
        client.update_table(TableName=self.table, DeletionProtectionEnabled=False)
        client.delete_table(TableName=self.table)
        await self.set_up()
        for item in items:
            client.put_item(TableName=self.table, Item=item)

    def _items(self, client: Any) -> list[Any]:
        pages = client.get_paginator("scan").paginate(TableName=self.table)
        return [item for page in pages for item in page["Items"]]


_session = functools.cache(boto3.Session)


def dynamodb_client(endpoint: str) -> Any:
    """As the ledger makes its own. All from one session: each session reads megabytes of JSON first."""
    config = Config(connect_timeout=5, read_timeout=5, retries={"total_max_attempts": 1})
    return _session().client("dynamodb", region_name="eu-west-1", endpoint_url=endpoint, config=config)


class MemoryPlace(Place):
    def __init__(self) -> None:
        super().__init__()
        self.ledger = MemoryLedger()

    def _new(self) -> EffectLedger:
        return self.ledger

    async def let_pass(self, time: timedelta) -> None:
        self.ledger.advance(time)


def backdating(time: timedelta) -> list[str]:
    back = time // timedelta(microseconds=1)
    return [
        f"UPDATE agentflow_effects SET created_at_us = created_at_us - {back}, "
        f"written_at_us = written_at_us - {back}",
        f"UPDATE agentflow_stops SET since_us = since_us - {back}, ended_at_us = ended_at_us - {back}",
    ]


@asynccontextmanager
async def kept(place: Place) -> AsyncIterator[Place]:
    await place.set_up()
    try:
        yield place
    finally:
        await place.close()


async def purged(ledger: EffectLedger, older_than: timedelta) -> int:
    """Forget what has ended and is older, as a ledger does it: which runs may need it is not asked."""
    before = await ledger.clock() - older_than
    gone = await ledger.forget_stops("default", before)
    while (page := await ledger.find(EffectQuery(ended_before=before), limit=500)).effects:
        gone += await ledger.forget({found.record.key: found.version for found in page.effects})
    return gone


def record(number: int = 1, **changes: Any) -> EffectRecord:
    """A write's record, as an attempt that begins wants it."""
    values: dict[str, Any] = {
        "key": sha256_of(number),
        "namespace": "default",
        "workflow_id": "refund-1",
        "run_id": "run-1",
        "tool": "pay",
        "tool_call_id": ToolCallId(f"call_{number}"),
        "arguments_hash": sha256_of("arguments"),
        "owner": f"owner-{number}",
        "lease": timedelta(seconds=80),
    }
    return EffectRecord(**{**values, **changes})
