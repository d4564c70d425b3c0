"""An outside system, tools that reach it, and the activities' surroundings without a server."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from pydantic import BaseModel
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from agentflow.activity.context import ToolContext
from agentflow.activity.execution import tool_activity
from agentflow.activity.ledger_calls import LedgerCalls
from agentflow.activity.permits import Permits, permitted
from agentflow.activity.tool import DidNotHappen, Happened, Tool, tool
from agentflow.adapters.memory_blobs import MemoryBlobStore
from agentflow.contracts.grounds import Grounds
from agentflow.contracts.rules import Decision, Verdict
from agentflow.contracts.tools import ToolInvocation, ToolOptions, ToolResult
from agentflow.contracts.wire import Json, ToolCallId
from agentflow.core.idempotency import arguments_hash, ledger_key, run_root
from agentflow.ports.blobs import BlobStore
from agentflow.ports.ledger import EffectLedger
from agentflow.testing.settings import TEST_SEAL_KEYS


def grounds_of(tenant: str, **changes: Any) -> Grounds:
    """What a write of an agent's rests on."""
    plain: dict[str, Any] = {
        "agent": "Payer",
        "tenant": tenant,
        "requested_by": "inbox",
        "tier": "dev",
        "identity": "trusted",
    }
    return Grounds(**{**plain, **changes})


WORKFLOW_ID = "refund-1"
CHAIN = "first-execution"
RUN_ID = "run-1"
LIMIT = timedelta(seconds=30)
"""Longest time of one attempt."""
DELAY = timedelta(seconds=20)
"""How late the bank may carry out what it was asked."""


class Receipt(BaseModel):
    number: int
    to: str


@dataclass
class Bank:
    """Remembers what really happened, whatever was answered."""

    payments: list[str] = field(default_factory=list[str])
    keys: list[str] = field(default_factory=list[str])
    attempts: list[int] = field(default_factory=list[int])
    error: BaseException | None = None
    """Raised after the payment."""
    refusal: Exception | None = None
    """Raised before the payment."""
    answer: Any = None
    """Answered instead of a receipt."""
    probe_error: Exception | None = None
    """Raised by the probe."""
    paid: asyncio.Event = field(default_factory=asyncio.Event)
    hangs: bool = False
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)
    probed: int = 0

    async def make_payment(self, to: str, context: ToolContext) -> Any:
        self.attempts.append(context.attempt)
        if self.refusal:
            raise self.refusal
        self.payments.append(to)
        self.keys.append(context.idempotency_key)
        self.paid.set()
        if self.hangs:
            await self.goes_on.wait()
        if self.error:
            raise self.error
        return Receipt(number=len(self.payments), to=to) if self.answer is None else self.answer

    @tool(effect="write", options=ToolOptions(max_effect_delay=DELAY))
    async def pay(self, to: str, context: ToolContext) -> Receipt:
        """Pay somebody."""
        return await self.make_payment(to, context)

    @tool(effect="write", recovery="key")
    async def pay_by_key(self, to: str, context: ToolContext) -> Receipt:
        """Pay somebody, at a bank that knows idempotency keys."""
        return await self.make_payment(to, context)

    @tool(effect="irreversible", recovery="probe", options=ToolOptions(max_effect_delay=DELAY))
    async def pay_and_find(self, to: str, context: ToolContext) -> Receipt:
        """Pay somebody, at a bank that can be asked what it did."""
        return await self.make_payment(to, context)

    @pay_and_find.probe
    async def find_payment(self, to: str, context: ToolContext) -> Happened[Receipt] | DidNotHappen:
        """The payment of an earlier attempt."""
        self.probed += 1
        if self.probe_error:
            raise self.probe_error
        if context.idempotency_key not in self.keys:
            return DidNotHappen()
        return Happened(Receipt(number=self.keys.index(context.idempotency_key) + 1, to=to))

    @tool(effect="read", options=ToolOptions(max_result_bytes=100))
    async def statement(self, to: str, context: ToolContext) -> Receipt:
        """The last payment to somebody."""
        return await self.make_payment(to, context)

    @tool(effect="write", options=ToolOptions(max_result_bytes=10))
    async def pay_briefly(self, to: str, context: ToolContext) -> Any:
        """Pay somebody, and say little."""
        return await self.make_payment(to, context)


def environment(attempt: int = 1) -> ActivityEnvironment:
    found = ActivityEnvironment()
    found.info = replace(
        found.info,
        attempt=attempt,
        workflow_id=WORKFLOW_ID,
        workflow_run_id=RUN_ID,
        namespace="default",
        start_to_close_timeout=LIMIT,
    )
    return found


def invocation_of(
    tool: Tool[..., Any],
    arguments: dict[str, Json] | None = None,
    *,
    index: int = 1,
    verdict: Verdict = "allow",
    bound_to: dict[str, Json] | None = None,
    grounds: Grounds | None = None,
) -> ToolInvocation:
    """A call, with the decision that allowed it; ``bound_to`` are other arguments than its own."""
    name = tool.contract.name
    given = {"to": "ada"} if arguments is None else arguments
    decision = Decision(
        verdict=verdict,
        rule="small_payments",
        reason="small",
        arguments_hash=arguments_hash(name, given if bound_to is None else bound_to),
    )
    return ToolInvocation(
        call_id=ToolCallId("call_1"),
        arguments=given,
        decision=decision,
        ledger_key=ledger_key(run_root("default", WORKFLOW_ID), CHAIN, index, name),
        grounds=grounds,
    )


async def carried_out(
    tool: Tool[..., Any],
    ledger: EffectLedger | None,
    invocation: ToolInvocation | None = None,
    *,
    attempt: int = 1,
    blobs: BlobStore | None = None,
    permits: Permits = permitted,
) -> ToolResult:
    """Run a tool's activity once, as a worker would."""
    calls = None if ledger is None else LedgerCalls(ledger, TEST_SEAL_KEYS)
    run = tool_activity(tool, calls, blobs or MemoryBlobStore(), permits=permits)
    return await environment(attempt).run(run, invocation or invocation_of(tool))


async def failure(*args: Any, **options: Any) -> ApplicationError:
    """The error that running a tool's activity once ends with."""
    try:
        result = await carried_out(*args, **options)
    except ApplicationError as error:
        return error
    raise AssertionError(f"it did not fail: {result}")
