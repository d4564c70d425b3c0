"""The DynamoDB table that a ledger needs: made, and looked at."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from agentflow.adapters.dynamodb_client import DynamoDB, RefusedRequest
from agentflow.errors import ConfigurationError

OPEN_INDEX = "open_by_age"
"""The index of the records that are open: only these have the attribute ``open``."""

_KEY_SCHEMA = [{"AttributeName": "key", "KeyType": "HASH"}]
_INDEX_SCHEMA = [
    {"AttributeName": "open", "KeyType": "HASH"},
    {"AttributeName": "created_at_us", "KeyType": "RANGE"},
]
_TIMEOUT = timedelta(seconds=120)


async def check_table(dynamodb: DynamoDB, table: str) -> None:
    """See whether the table is there, and made for this.

    Raises:
        ConfigurationError: it isn't; the text says what to do.
        LedgerError: DynamoDB can't be reached.
    """
    found = await _described(dynamodb, table)
    if found is None:
        raise ConfigurationError(
            f"the effect ledger {dynamodb.place} has no table yet: run `agentflow ledger migrate`"
        )
    indexes = {index["IndexName"]: index["KeySchema"] for index in found.get("GlobalSecondaryIndexes", [])}
    if found["KeySchema"] != _KEY_SCHEMA or indexes.get(OPEN_INDEX) != _INDEX_SCHEMA:
        raise ConfigurationError(
            f"the effect ledger {dynamodb.place} has other keys, or no index {OPEN_INDEX}: "
            "name another table, and run `agentflow ledger migrate`"
        )


async def create_table(dynamodb: DynamoDB, table: str) -> list[str]:
    """Make the table if it isn't there, and wait until it can be used.

    Returns:
        What was made, if anything was.

    Raises:
        ConfigurationError: there is a table of that name which isn't made for this.
        LedgerError: it can't be made.
    """
    is_new = await _described(dynamodb, table) is None and await _create(dynamodb, table)
    await _until(lambda: _is_active(dynamodb, table), dynamodb, "the table isn't ready")
    await check_table(dynamodb, table)
    await _until(lambda: _restorable(dynamodb, table), dynamodb, "point-in-time recovery can't be turned on")
    return [f"table {table}"] if is_new else []


async def _until(done: Callable[[], Awaitable[bool]], dynamodb: DynamoDB, otherwise: str) -> None:
    end = time.monotonic() + _TIMEOUT.total_seconds()
    while not await done():
        if time.monotonic() > end:
            raise dynamodb.error(f"{otherwise} after {_TIMEOUT.total_seconds():g} s")
        await asyncio.sleep(1)


async def _is_active(dynamodb: DynamoDB, table: str) -> bool:
    return (await _described(dynamodb, table) or {}).get("TableStatus") == "ACTIVE"


async def _restorable(dynamodb: DynamoDB, table: str) -> bool:
    """Turn point-in-time recovery on. A table that was just made may not take it yet."""
    wanted = {"PointInTimeRecoveryEnabled": True}
    try:
        await dynamodb.call(
            lambda client: client.update_continuous_backups(
                TableName=table, PointInTimeRecoverySpecification=wanted
            ),
            expect=("ContinuousBackupsUnavailableException", "UnknownOperationException"),
        )
    except RefusedRequest as refusal:
        # DynamoDB on one's own machine has no backups.
        return refusal.code == "UnknownOperationException"
    return True


async def _described(dynamodb: DynamoDB, table: str) -> dict[str, Any] | None:
    try:
        answer = await dynamodb.call(
            lambda client: client.describe_table(TableName=table), expect=("ResourceNotFoundException",)
        )
    except RefusedRequest:
        return None
    return answer["Table"]


async def _create(dynamodb: DynamoDB, table: str) -> bool:
    request: dict[str, Any] = {
        "TableName": table,
        "AttributeDefinitions": [
            {"AttributeName": "key", "AttributeType": "S"},
            {"AttributeName": "open", "AttributeType": "S"},
            {"AttributeName": "created_at_us", "AttributeType": "N"},
        ],
        "KeySchema": _KEY_SCHEMA,
        "GlobalSecondaryIndexes": [
            {
                "IndexName": OPEN_INDEX,
                "KeySchema": _INDEX_SCHEMA,
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        "BillingMode": "PAY_PER_REQUEST",
        "DeletionProtectionEnabled": True,
    }
    try:
        await dynamodb.call(lambda client: client.create_table(**request), expect=("ResourceInUseException",))
    except RefusedRequest:  # somebody else is making it
        return False
    return True
