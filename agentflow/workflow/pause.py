"""A timer that brings the run a workflow task of its own soon."""

from datetime import timedelta

from temporalio import workflow

_PAUSE = timedelta(milliseconds=1)


async def pause(why: str) -> None:
    """Let a timer fire, which it does in the same place in a replay.

    Args:
        why: Of the timer, for people.
    """
    await workflow.sleep(_PAUSE, summary=why)
