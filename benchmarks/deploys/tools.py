"""The tools of the agent, each in the form that it is deployed in."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from agentflow import RetryOptions, ToolContext, ToolOptions, tool
from agentflow.activity.tool import Tool
from benchmarks.deploys.outside import Outside

FAST = ToolOptions(
    retry=RetryOptions(initial_interval=timedelta(milliseconds=50)), max_effect_delay=timedelta(0)
)

AnyTool = Tool[..., Any]


def made(function: Callable[..., Awaitable[Any]], doc: str, **promises: Any) -> AnyTool:
    """A tool of a function."""
    function.__doc__ = doc
    return tool(**{"options": FAST, **promises})(function)


def look(_: Outside, doc: str = "Look an account up.", **promises: Any) -> AnyTool:
    """Reads."""

    async def look(context: ToolContext, account: str) -> str:
        return f"{account} is in good standing"

    return made(look, doc, **{"effect": "read", **promises})


def note(
    outside: Outside,
    doc: str = "Put a note on the account.",
    function: Callable[..., Awaitable[Any]] | None = None,
    **promises: Any,
) -> AnyTool:
    """Writes, and a rule that is data lets it."""

    async def note(context: ToolContext, text: str) -> str:
        return await outside.write(context, f"note {text}")

    settings = {"effect": "write", "recovery": "key", "sinks": (), "name": "note", **promises}
    return made(function or note, doc, **settings)


def transfer(outside: Outside, **promises: Any) -> AnyTool:
    """Writes, and a rule that is data asks people."""

    async def transfer(context: ToolContext, amount: str) -> str:
        return await outside.write(context, f"transfer {amount}")

    settings = {"effect": "irreversible", "recovery": "key", "sinks": ("amount",), **promises}
    return made(transfer, "Transfer an amount.", **settings)


def pay(outside: Outside) -> AnyTool:
    """Writes, and a rule that is code asks people of large amounts."""

    async def pay(context: ToolContext, amount: str) -> str:
        return await outside.write(context, f"pay {amount}")

    return made(pay, "Pay an amount.", effect="write", recovery="key", sinks=("amount",))


def ship(outside: Outside) -> AnyTool:
    """Writes where nobody knows idempotency keys."""

    async def ship(context: ToolContext, parcel: str) -> str:
        return await outside.ship(context, f"ship {parcel}")

    return made(ship, "Ship a parcel.", effect="write", recovery="ask", sinks=())


def ship_with_number(outside: Outside) -> AnyTool:
    """The same, with another answer."""

    async def ship(context: ToolContext, parcel: str) -> dict[str, str]:
        return {"parcel": await outside.ship(context, f"ship {parcel}")}

    return made(ship, "Ship a parcel.", effect="write", recovery="ask", sinks=())


def archive(outside: Outside) -> AnyTool:
    """Nobody calls it."""

    async def archive(context: ToolContext, account: str) -> str:
        return await outside.write(context, f"archive {account}")

    return made(archive, "Archive an account.", effect="write", recovery="key", sinks=())


def greet(_: Outside) -> AnyTool:
    """Nobody calls it either."""

    async def greet(context: ToolContext, name: str) -> str:
        return f"hello {name}"

    return made(greet, "Greet somebody.", effect="read")


def note_with_option(outside: Outside) -> AnyTool:
    """It takes one thing more, which may be left out."""

    async def note(context: ToolContext, text: str, urgent: bool = False) -> str:
        return await outside.write(context, f"note {text}")

    return globals()["note"](outside, function=note)


def note_with_more(outside: Outside) -> AnyTool:
    """It takes one thing more."""

    async def note(context: ToolContext, text: str, urgent: bool) -> str:
        return await outside.write(context, f"note {text}")

    return globals()["note"](outside, function=note)


def note_by_number(outside: Outside) -> AnyTool:
    """It takes a number in place of a text."""

    async def note(context: ToolContext, text: int) -> str:
        return await outside.write(context, f"note {text}")

    return globals()["note"](outside, function=note)


def note_renamed(outside: Outside) -> AnyTool:
    """What it takes has another name."""

    async def note(context: ToolContext, words: str) -> str:
        return await outside.write(context, f"note {words}")

    return globals()["note"](outside, function=note)
