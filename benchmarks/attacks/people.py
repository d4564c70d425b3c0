"""What people say to a run, and strangers in their name."""

import asyncio
from collections.abc import Iterable
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowHandle, WorkflowUpdateFailedError
from temporalio.common import RawValue
from temporalio.service import RPCError, RPCStatusCode

from agentflow.contracts.attention import Attention
from agentflow.contracts.messages import AssistantMessage, UserMessage
from agentflow.contracts.model import ModelCall
from agentflow.testing import answer, call
from benchmarks.attacks.stage import Target


def pays(asked: ModelCall) -> AssistantMessage:
    """Do what the task says (``pay ACCOUNT AMOUNT``): a model's script."""
    first, last = asked.messages[0], asked.messages[-1]
    if not isinstance(first, UserMessage) or last.kind != "user":
        return answer("done")
    account, amount = first.text.replace(",", "").split()[1:3]
    return call("pay", account=account, amount=amount)


def raw(text: str) -> RawValue:
    """A text as it is, for JSON."""
    return RawValue(Payload(metadata={"encoding": b"json/plain"}, data=text.encode()))


async def send_all(handle: WorkflowHandle[Any, Any], decisions: Iterable[tuple[str, str]]) -> list[str]:
    """Send texts through doors for approvals; what the doors said to each."""
    # Temporal takes ten updates of a run at once.
    gate = asyncio.Semaphore(8)

    async def send(door: str, text: str) -> str:
        async with gate:
            return await send_text(handle, door, text)

    return await asyncio.gather(*(send(door, text) for door, text in decisions))


async def send_text(handle: WorkflowHandle[Any, Any], door: str, text: str) -> str:
    """Send any text through a door for approvals; what it said."""
    try:
        if door == "signal":
            await handle.signal("approve", raw(text))
            return "sent"
        await handle.execute_update("decide", raw(text))
    except WorkflowUpdateFailedError as error:
        return str(error.cause)
    except RPCError as error:
        # Another one got through, and the run is over, or about to be.
        if error.status not in (RPCStatusCode.NOT_FOUND, RPCStatusCode.FAILED_PRECONDITION):
            raise
        return "too late"
    return "counted"


async def stands(target: Target, handle: WorkflowHandle[Any, Any]) -> Attention:
    """What a run waits for, or that it has ended."""
    try:
        return await target.agents.attention(handle.id)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return Attention(state="ended", outcome="ended meanwhile")


async def ended(handle: WorkflowHandle[Any, Any]) -> None:
    """End a run, if it is not over."""
    try:
        await handle.terminate()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise


async def who_counted(target: Target, handle: WorkflowHandle[Any, Any]) -> list[str]:
    """The people whose approvals a run took, by its own record."""
    decisions = await target.agents.decisions(handle.id)
    return [one.by or "" for one in decisions if one.subject == "approval" and one.accepted and one.by]
