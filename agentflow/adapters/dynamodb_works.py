"""Which records are of one piece of work, in the ledger's DynamoDB table.

The keys of all of them are in one item, so that one consistent read has them all: an index would lag behind.
"""

from typing import Any

from agentflow.adapters.dynamodb_client import DynamoDB, RefusedRequest
from agentflow.adapters.ledger_rows import original, storable
from agentflow.contracts.wire import Sha256

_WORK = "work#"


class DynamoDBWorks:
    """The keys of records, by what their writes do."""

    def __init__(self, dynamodb: DynamoDB, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    async def keys(self, work: str) -> list[Sha256]:
        """The keys of all records of a piece of work, and perhaps of some that are not there yet."""
        answer = await self._dynamodb.call(
            lambda client: client.get_item(TableName=self._table, Key=_item(work), ConsistentRead=True)
        )
        found = answer.get("Item", {}).get("keys", {}).get("SS", ())
        return sorted(Sha256(original(key)) for key in found)

    async def add(self, work: str, key: str) -> None:
        """A record of a piece of work is about to be inserted."""
        await self._update(work, "ADD", _only(storable(key)))

    async def take(self, work: str, key: str) -> None:
        """A record is gone, by its key as it is stored. The item goes with the last of its keys."""
        values = _only(key)
        try:
            await self._dynamodb.call(
                lambda client: client.delete_item(
                    TableName=self._table,
                    Key=_item(work),
                    ConditionExpression="#keys = :keys",
                    ExpressionAttributeNames=_NAMES,
                    ExpressionAttributeValues=values,
                ),
                expect=("ConditionalCheckFailedException",),
            )
        except RefusedRequest:
            await self._update(work, "DELETE", values)

    async def _update(self, work: str, action: str, values: dict[str, Any]) -> None:
        await self._dynamodb.call(
            lambda client: client.update_item(
                TableName=self._table,
                Key=_item(work),
                UpdateExpression=f"{action} #keys :keys",
                ExpressionAttributeNames=_NAMES,
                ExpressionAttributeValues=values,
            )
        )


_NAMES = {"#keys": "keys"}


def _only(key: str) -> dict[str, Any]:
    return {":keys": {"SS": [key]}}


def _item(work: str) -> dict[str, Any]:
    return {"key": {"S": storable(f"{_WORK}{work}")}}
