"""What a ledger keeps of itself, in its DynamoDB table."""

import time
from typing import Any

from agentflow.adapters.dynamodb_client import DynamoDB, RefusedRequest
from agentflow.adapters.ledger_card import LedgerCard, adopted_meanwhile, check_place
from agentflow.contracts.ledger import Adoption, LedgerIdentity
from agentflow.errors import LedgerError

_KEY = {"key": {"S": "ledger#card"}}
_NAMES = {"#card": "card"}
_PLACE_SECONDS = 60.0
"""How long a table is taken for the same one: it takes minutes to delete one and to restore another in its
place, and until then requests fail, after which it is looked at anew."""


class DynamoDBCard:
    """The ledger's card, in an item of its own."""

    def __init__(self, dynamodb: DynamoDB, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._place: tuple[str, float] | None = None

    async def check(self) -> None:
        """See whether the table is the one that the ledger was made in.

        Raises:
            ConfigurationError: it isn't.
            LedgerError: DynamoDB can't be reached.
        """
        card, here = await self._read()
        check_place(card, here, self._dynamodb.place)

    async def make(self) -> None:
        """Make the card if there is none."""
        card = LedgerCard.new(await self._here()).model_dump_json()
        await self._put(card, "attribute_not_exists(#card)", {})

    async def identity(self) -> LedgerIdentity:
        """Which ledger it is."""
        card, here = await self._read()
        return card.identity(here, self._dynamodb.place)

    async def adopt(self, adoption: Adoption) -> LedgerIdentity:
        """Take an operator's word on a table that was restored."""
        self._place = None
        card, here = await self._read()
        changed = card.adopted_by(adoption, here)
        expected = {":before": {"S": card.model_dump_json()}}
        if not await self._put(changed.model_dump_json(), "#card = :before", expected):
            raise adopted_meanwhile(self._dynamodb.place)
        return changed.identity(here, self._dynamodb.place)

    async def _read(self) -> tuple[LedgerCard, str]:
        try:
            answer = await self._dynamodb.call(
                lambda client: client.get_item(TableName=self._table, Key=_KEY, ConsistentRead=True)
            )
        except LedgerError:
            self._place = None
            raise
        if "Item" not in answer:
            raise self._dynamodb.error("it has no record of itself: run `agentflow ledger migrate`")
        return LedgerCard.read(answer["Item"]["card"]["S"], self._dynamodb.place), await self._here()

    async def _here(self) -> str:
        now = time.monotonic()
        if self._place is None or now - self._place[1] > _PLACE_SECONDS:
            answer = await self._dynamodb.call(lambda client: client.describe_table(TableName=self._table))
            table: dict[str, Any] = answer["Table"]
            # DynamoDB on one's own machine gives its tables no ids.
            self._place = (f"table {table.get('TableId') or table.get('CreationDateTime')}", now)
        return self._place[0]

    async def _put(self, card: str, condition: str, values: dict[str, Any]) -> bool:
        request: dict[str, Any] = {
            "TableName": self._table,
            "Item": {**_KEY, "card": {"S": card}},
            "ConditionExpression": condition,
            "ExpressionAttributeNames": _NAMES,
        }
        if values:
            request["ExpressionAttributeValues"] = values
        try:
            await self._dynamodb.call(
                lambda client: client.put_item(**request), expect=("ConditionalCheckFailedException",)
            )
        except RefusedRequest:
            return False
        return True
