"""Rounds of forgetting, in the ledger's DynamoDB table: the last ones, in one item."""

import json
from typing import Any

from agentflow.adapters.dynamodb_client import DynamoDB, RefusedRequest
from agentflow.adapters.ledger_sql import purge_of_row, purge_parameters
from agentflow.contracts.purges import MAX_PURGES, Purge

_KEY = {"key": {"S": "purges#"}}
_RACES = 5


class DynamoDBPurges:
    """What was forgotten, in the table of a ledger."""

    def __init__(self, dynamodb: DynamoDB) -> None:
        self._dynamodb = dynamodb

    async def keep(self, purge: Purge) -> None:
        """Put a round on record."""
        said = {"S": json.dumps(purge_parameters(purge))}
        for _ in range(_RACES):
            item = await self._item()
            rounds = [*_rounds(item), said][-MAX_PURGES:]
            was = item.get("version", {"N": "0"})
            kept = {**_KEY, "rounds": {"L": rounds}, "version": {"N": str(int(was["N"]) + 1)}}
            try:
                await self._dynamodb.call(
                    lambda client, kept=kept, was=was: client.put_item(
                        TableName=self._dynamodb.table,
                        Item=kept,
                        ConditionExpression="attribute_not_exists(#key) OR #version = :was",
                        ExpressionAttributeNames={"#key": "key", "#version": "version"},
                        ExpressionAttributeValues={":was": was},
                    ),
                    expect=("ConditionalCheckFailedException",),
                )
            except RefusedRequest:
                continue
            return
        raise self._dynamodb.error("the purges on record are being changed by others; try again")

    async def last(self, limit: int) -> tuple[Purge, ...]:
        """The last rounds, the newest first."""
        rounds = reversed(_rounds(await self._item())[-limit:])
        return tuple(purge_of_row(json.loads(said["S"]), self._dynamodb.place) for said in rounds)

    async def _item(self) -> dict[str, Any]:
        answer = await self._dynamodb.call(
            lambda client: client.get_item(TableName=self._dynamodb.table, Key=_KEY, ConsistentRead=True)
        )
        return answer.get("Item", {})


def _rounds(item: dict[str, Any]) -> list[dict[str, str]]:
    return item.get("rounds", {"L": []})["L"]
