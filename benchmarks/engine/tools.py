"""The tools of the agent on agentflow."""

from agentflow import tool
from benchmarks.engine.script import record_text


@tool(effect="read")
async def look_up(number: int) -> str:
    """Look up a record.

    Args:
        number: Of the record, from 1.
    """
    return record_text(number)


@tool(effect="write")
async def correct(number: int, text: str) -> str:
    """Correct a record.

    Args:
        number: Of the record, from 1.
        text: What it should say.
    """
    return f"{number}: {text}"


@tool(effect="read", local=True, name="look_up")
async def look_up_locally(number: int) -> str:
    """Look up a record.

    Args:
        number: Of the record, from 1.
    """
    return record_text(number)
