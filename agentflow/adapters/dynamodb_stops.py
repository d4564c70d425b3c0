"""Stops in the ledger's DynamoDB table.

All that hold in a namespace are attributes of one item, so that one consistent read has them all: an index
would lag behind. Each that was lifted is an item of its own, in a part of its own of the index by age.
"""

from datetime import datetime
from typing import Any
from uuid import uuid4

from agentflow.adapters.dynamodb_client import DynamoDB, RefusedRequest
from agentflow.adapters.dynamodb_table import OPEN_INDEX
from agentflow.adapters.ledger_rows import moment_us, storable
from agentflow.adapters.ledger_stops import log_limit, stop_of_row, stop_parameters
from agentflow.contracts.stops import Stop
from agentflow.core.stops import is_freeze
from agentflow.errors import LedgerError

Item = dict[str, dict[str, Any]]

LIFTED = "lifted-stops/"
"""How the attribute ``open`` of stops that were lifted begins; records that are open have another one."""
MAX_REVOCATION_BYTES = 300_000
"""Of an item, which takes 400 kB: however many keys are revoked, there is room for a freeze."""

_HOLDING = "stops/"
_NAMED = "stop:"
_RACES = 5


class DynamoDBStops:
    """What is forbidden, in the table of a ledger."""

    def __init__(self, dynamodb: DynamoDB, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    async def holding(self, namespace: str) -> tuple[Stop, ...]:
        """Those that hold, the oldest first."""
        return await self._holding(storable(namespace))

    async def stop(self, namespace: str, key: str, by: str, reason: str) -> bool:
        """Forbid something. False if a stop of that key holds already."""
        namespace, key, by, reason = stop_parameters(namespace, key, by, reason)
        if not is_freeze(key) and _size(await self._item(namespace)) > MAX_REVOCATION_BYTES:
            raise self._dynamodb.error(
                f"more than {MAX_REVOCATION_BYTES} bytes of revocations hold in namespace {namespace}: call "
                "the ledger's lift() for those of keys that are on no list any more"
            )
        made = {
            "by": {"S": by},
            "reason": {"S": reason},
            "since_us": {"N": str(await self._dynamodb.now_us())},
        }
        try:
            await self._dynamodb.call(
                lambda client: client.update_item(
                    TableName=self._table,
                    Key=_holding(namespace),
                    UpdateExpression="SET #stop = :stop",
                    ConditionExpression="attribute_not_exists(#stop)",
                    ExpressionAttributeNames={"#stop": _NAMED + key},
                    ExpressionAttributeValues={":stop": {"M": made}},
                ),
                expect=("ConditionalCheckFailedException",),
            )
        except RefusedRequest:
            return False
        return True

    async def lift(self, namespace: str, key: str, by: str, reason: str) -> bool:
        """End the stop of a key, and keep it. False if none holds."""
        namespace, key, by, reason = stop_parameters(namespace, key, by, reason)
        for _ in range(_RACES):
            was = (await self._item(namespace)).get(_NAMED + key)
            if was is None:
                return False
            if await self._lifted(
                namespace, key, was, {"ended_by": {"S": by}, "ended_reason": {"S": reason}}
            ):
                return True
        raise self._dynamodb.error(f"the stop {key} is being changed by others; try again")

    async def log(self, namespace: str, limit: int) -> tuple[Stop, ...]:
        """The last ones, the newest first. What was just lifted may be missing for a second."""
        namespace = storable(namespace)
        request: dict[str, Any] = {
            "TableName": self._table,
            "IndexName": OPEN_INDEX,
            "KeyConditionExpression": "#open = :lifted",
            "ExpressionAttributeNames": {"#open": "open"},
            "ExpressionAttributeValues": {":lifted": {"S": LIFTED + namespace}},
            "ScanIndexForward": False,
            "Limit": log_limit(limit),
        }
        answer = await self._dynamodb.call(lambda client: client.query(**request))
        lifted = [self._stop(namespace, item["stop"]["S"], item["said"]) for item in answer["Items"]]
        stops = [*await self._holding(namespace), *lifted]
        return tuple(sorted(stops, key=lambda stop: stop.since, reverse=True)[:limit])

    async def forget(self, namespace: str, before: datetime) -> int:
        """Forget those that were lifted before a time; answer how many."""
        request: dict[str, Any] = {
            "TableName": self._table,
            "IndexName": OPEN_INDEX,
            "KeyConditionExpression": "#open = :lifted",
            "FilterExpression": "#written < :before",
            "ProjectionExpression": "#key",
            "ExpressionAttributeNames": {"#open": "open", "#written": "written_at_us", "#key": "key"},
            "ExpressionAttributeValues": {
                ":lifted": {"S": LIFTED + storable(namespace)},
                ":before": {"N": str(moment_us(before))},
            },
        }
        gone, more = 0, {}
        while True:
            answer = await self._dynamodb.call(lambda client, more=more: client.query(**request, **more))
            for item in answer["Items"]:
                await self._dynamodb.call(
                    lambda client, item=item: client.delete_item(TableName=self._table, Key=item)
                )
                gone += 1
            if "LastEvaluatedKey" not in answer:
                return gone
            more = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    async def _holding(self, namespace: str) -> tuple[Stop, ...]:
        item = await self._item(namespace)
        named = ((name, value) for name, value in item.items() if name.startswith(_NAMED))
        stops = [self._stop(namespace, name, value) for name, value in named]
        return tuple(sorted(stops, key=lambda stop: (stop.since, stop.key)))

    async def _lifted(self, namespace: str, key: str, was: dict[str, Any], end: Item) -> bool:
        now = {"N": str(await self._dynamodb.now_us())}
        kept = {
            "key": {"S": f"{LIFTED}{namespace}/{uuid4().hex}"},
            "open": {"S": LIFTED + namespace},
            "created_at_us": was["M"]["since_us"],
            "written_at_us": now,
            "version": {"N": "1"},
            "stop": {"S": _NAMED + key},
            "said": {"M": {**was["M"], **end, "ended_at_us": now}},
        }
        changes = [
            {
                "Update": {
                    "TableName": self._table,
                    "Key": _holding(namespace),
                    "UpdateExpression": "REMOVE #stop",
                    "ConditionExpression": "#stop = :was",
                    "ExpressionAttributeNames": {"#stop": _NAMED + key},
                    "ExpressionAttributeValues": {":was": was},
                }
            },
            {"Put": {"TableName": self._table, "Item": kept}},
        ]
        try:
            await self._dynamodb.call(
                lambda client: client.transact_write_items(TransactItems=changes),
                expect=("TransactionCanceledException", "TransactionConflictException"),
            )
        except RefusedRequest:
            return False
        return True

    async def _item(self, namespace: str) -> Item:
        answer = await self._dynamodb.call(
            lambda client: client.get_item(
                TableName=self._table, Key=_holding(namespace), ConsistentRead=True
            )
        )
        return answer.get("Item", {})

    def _stop(self, namespace: str, name: str, value: dict[str, Any]) -> Stop:
        try:
            said = {field: next(iter(found.values())) for field, found in value["M"].items()}
            ended_at_us = int(said["ended_at_us"]) if "ended_at_us" in said else None
            row = (said["by"], said["reason"], int(said["since_us"]), said.get("ended_by"))
        except (KeyError, ValueError, AttributeError) as error:
            raise LedgerError(
                f"the effect ledger {self._dynamodb.place} can't be used: {name} is no stop ({error!r})"
            ) from error
        key = name.removeprefix(_NAMED)
        return stop_of_row(
            (namespace, key, *row, said.get("ended_reason"), ended_at_us), self._dynamodb.place
        )


def _holding(namespace: str) -> Item:
    return {"key": {"S": _HOLDING + namespace}}


def _size(item: Item) -> int:
    return sum(len(name.encode()) + len(str(value).encode()) for name, value in item.items())
