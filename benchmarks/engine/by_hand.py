"""The agent as one would write it by hand on Temporal's SDK: nothing is guarded, budgeted or recorded."""

from datetime import timedelta
from typing import Any

from temporalio import activity, workflow

with workflow.unsafe.imports_passed_through():
    from benchmarks.engine.script import INSTRUCTIONS, Job, record_text, turns_of

Message = dict[str, Any]

_LIMIT = timedelta(seconds=30)


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


@workflow.defn
class Naive:
    """Passes the whole list of messages to each model call."""

    @workflow.run
    async def run(self, turns: int) -> str:
        """Let the model work until it answers."""
        messages: list[Message] = [
            {"role": "system", "content": INSTRUCTIONS},
            {"role": "user", "content": Job(turns).text},
        ]
        while True:
            answer = await workflow.execute_activity(naive_chat, messages, start_to_close_timeout=_LIMIT)
            messages.append(answer)
            if "tool_calls" not in answer:
                return answer["content"]
            for call in answer["tool_calls"]:
                output = await workflow.execute_activity(
                    look_up, call["arguments"]["number"], start_to_close_timeout=_LIMIT
                )
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": output})


@workflow.defn
class Minimal:
    """Passes nothing that is in history already."""

    @workflow.run
    async def run(self, turns: int) -> str:
        """Let the model work until it answers."""
        turn = 0
        while True:
            answer = await workflow.execute_activity(
                minimal_chat, args=[turn, turns], start_to_close_timeout=_LIMIT
            )
            if "tool_calls" not in answer:
                return answer["content"]
            for call in answer["tool_calls"]:
                await workflow.execute_activity(
                    look_up, call["arguments"]["number"], start_to_close_timeout=_LIMIT
                )
                turn += 1


@workflow.defn
class MinimalLocal:
    """``Minimal``, with the tool as a local activity."""

    @workflow.run
    async def run(self, turns: int) -> str:
        """Let the model work until it answers."""
        turn = 0
        while True:
            answer = await workflow.execute_activity(
                minimal_chat, args=[turn, turns], start_to_close_timeout=_LIMIT
            )
            if "tool_calls" not in answer:
                return answer["content"]
            for call in answer["tool_calls"]:
                await workflow.execute_local_activity(
                    look_up, call["arguments"]["number"], start_to_close_timeout=_LIMIT
                )
                turn += 1


WORKFLOWS = (Naive, Minimal, MinimalLocal)
ACTIVITIES = (naive_chat, minimal_chat, look_up)
