"""What the workflows written by hand have in common: the model and the tool as plain activities."""

from datetime import timedelta
from typing import Any

from temporalio import activity

from benchmarks.engine.script import record_text, turns_of

Message = dict[str, Any]

LIMIT = timedelta(seconds=30)


def _answer(turn: int, turns: int) -> Message:
    """What the model says after ``turn`` tool calls."""
    if turn >= turns:
        return {"role": "assistant", "content": "done"}
    call = {"id": f"call_{turn + 1}", "name": "look_up", "arguments": {"number": turn + 1}}
    return {"role": "assistant", "content": "", "tool_calls": [call]}


@activity.defn(name="naive_chat")
async def naive_chat(messages: list[Message]) -> Message:
    """Answer a whole conversation."""
    turn = sum(1 for message in messages if message["role"] == "tool")
    return _answer(turn, turns_of(messages[1]["content"]))


@activity.defn(name="minimal_chat")
async def minimal_chat(turn: int, turns: int) -> Message:
    """Answer without being told anything that history has."""
    return _answer(turn, turns)


@activity.defn(name="look_up")
async def look_up(number: int) -> str:
    """Look up a record."""
    return record_text(number)


ACTIVITIES = (naive_chat, minimal_chat, look_up)
