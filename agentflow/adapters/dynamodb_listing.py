"""Listings of a ledger's DynamoDB table: their requests, and the cursors between them."""

from typing import Any

from agentflow.adapters.dynamodb_table import OPEN_INDEX
from agentflow.adapters.ledger_rows import cursor_after, moment_us, place_of, storable
from agentflow.contracts.effects import EffectQuery

Item = dict[str, dict[str, Any]]
"""As DynamoDB has it: ``{"attempts": {"N": "1"}, ...}``."""

OPEN = {"S": "1"}
"""The attribute ``open`` of records that are."""


def listing_request(table: str, query: EffectQuery, scanned: int) -> dict[str, Any]:
    """The request for a listing, which one place after another is added to.

    Args:
        table: Its name.
        query: Which records. Those that are open are read from their index, all others from the whole table.
        scanned: How many items one request looks at.
    """
    names, values, filters = _filters(query)
    request: dict[str, Any] = {"TableName": table, "Limit": scanned}
    if query.only_open:
        names["#open"], values[":open"] = "open", OPEN
        request |= {"IndexName": OPEN_INDEX, "KeyConditionExpression": "#open = :open"}
    else:
        request["ConsistentRead"] = True
        # Not the stops, which are in the same table.
        names["#tool"] = "tool"
        filters.append("attribute_exists(#tool)")
    if query.ended_before is not None:
        names |= {"#open": "open", "#written": "written_at_us"}
        values[":before"] = {"N": str(moment_us(query.ended_before))}
        filters += ["#written < :before", "attribute_not_exists(#open)"]
    if filters:
        request["FilterExpression"] = " AND ".join(filters)
    if names:
        request["ExpressionAttributeNames"] = names
    if values:
        request["ExpressionAttributeValues"] = values
    return request


def place_in_listing(item: Item, *, only_open: bool) -> Item:
    """Where a listing goes on after an item."""
    return {name: item[name] for name in (("key", "open", "created_at_us") if only_open else ("key",))}


def cursor_at(start: Item) -> str:
    """Where a listing goes on, as a cursor."""
    if "open" in start:
        return cursor_after("open", int(value_of(start, "created_at_us")), value_of(start, "key"))
    return cursor_after("all", value_of(start, "key"))


def start_at(cursor: str, *, only_open: bool) -> Item:
    """Where a cursor points.

    Raises:
        ValueError: it is no cursor of this ledger, or of another listing.
    """
    if only_open:
        listing, created_at_us, key = place_of(cursor, str, int, str)
        start: Item = {"open": OPEN, "created_at_us": {"N": str(created_at_us)}, "key": {"S": key}}
    else:
        listing, key = place_of(cursor, str, str)
        start = {"key": {"S": key}}
    if listing != ("open" if only_open else "all"):
        raise ValueError(f"{cursor[:80]!r} is no cursor of this listing")
    return start


def value_of(item: Item, name: str) -> str:
    """An attribute's value, as a text."""
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
