"""A bank whose client blocks: it pays when it is let go on, whoever still waits for it."""

import asyncio
import threading
from datetime import timedelta

from agentflow import DidNotHappen, Happened, ToolContext, ToolOptions, run_blocking, tool
from tests.workflow.tools import QUICK, Bank

SLOW = ToolOptions(
    retry=QUICK, start_to_close_timeout=timedelta(seconds=2), max_effect_delay=timedelta(seconds=1)
)
HANGING = ToolOptions(
    retry=QUICK,
    start_to_close_timeout=timedelta(milliseconds=500),
    max_effect_delay=timedelta(milliseconds=100),
)


class BlockingBank(Bank):
    """The first charge waits to be let go on. A second one lets it: then both are paid."""

    def __init__(self) -> None:
        super().__init__()
        self.began = threading.Event()
        self.goes_on = threading.Event()
        self.ended = threading.Event()
        self.charges = 0
        self.keys: set[str] = set()

    def charge_now(self, key: str, account: str) -> str:
        """What the bank's client does, in whatever thread it is called."""
        self.charges += 1
        if self.charges == 1:
            self.began.set()
            self.goes_on.wait(60)
        self.goes_on.set()
        return self._pay(key, account)

    def _pay(self, key: str, account: str) -> str:
        self.paid.append((account, "10.00"))
        self.keys.add(key)
        self.ended.set()
        return f"charged {account}"

    def _found(self, context: ToolContext, account: str) -> Happened[str] | DidNotHappen:
        return Happened(f"charged {account}") if context.idempotency_key in self.keys else DidNotHappen()

    @tool(effect="irreversible", recovery="probe", options=SLOW)
    async def charge(self, context: ToolContext, account: str) -> str:
        """Charge an account, by a client that blocks."""
        return await run_blocking(self.charge_now, context.idempotency_key, account)

    @charge.probe
    async def find_charge(self, context: ToolContext, account: str) -> Happened[str] | DidNotHappen:
        return self._found(context, account)

    @tool(effect="irreversible", recovery="probe", options=HANGING)
    async def charge_or_hang(self, context: ToolContext, account: str) -> str:
        """Charge an account, by a client that never comes back."""
        return await run_blocking(self.charge_now, context.idempotency_key, account)

    @charge_or_hang.probe
    async def find_or_hang(self, context: ToolContext, account: str) -> Happened[str] | DidNotHappen:
        return self._found(context, account)

    @tool(effect="irreversible", recovery="probe", options=SLOW)
    async def charge_deaf(self, context: ToolContext, account: str) -> str:
        """Charge an account, and hear of no cancellation."""
        return await self._in_spite_of_all(context.idempotency_key, account)

    @charge_deaf.probe
    async def find_deaf(self, context: ToolContext, account: str) -> Happened[str] | DidNotHappen:
        return DidNotHappen()

    @tool(effect="irreversible", recovery="probe", options=SLOW)
    async def charge_apart(self, context: ToolContext, account: str) -> str:
        """Charge an account in a task that nobody cancels."""
        charging = asyncio.create_task(self._in_spite_of_all(context.idempotency_key, account))
        return await asyncio.shield(charging)

    @charge_apart.probe
    async def find_apart(self, context: ToolContext, account: str) -> Happened[str] | DidNotHappen:
        return self._found(context, account)

    async def _in_spite_of_all(self, key: str, account: str) -> str:
        self.charges += 1
        self.began.set()
        while self.charges == 1 and not self.goes_on.is_set():
            try:
                await asyncio.sleep(0.02)
            except asyncio.CancelledError:
                continue
        self.goes_on.set()
        return self._pay(key, account)
