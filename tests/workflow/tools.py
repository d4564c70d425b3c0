"""Tools of the test agents: a small bank whose books the tests read."""

import asyncio
from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, Field

from agentflow import DidNotHappen, Happened, RetryOptions, ToolContext, ToolError, ToolOptions, tool

QUICK = RetryOptions(
    max_attempts=3, initial_interval=timedelta(milliseconds=10), max_interval=timedelta(milliseconds=20)
)


# Without a docstring: it would be in the schema that the recorded histories reserved tokens for.
class Report(BaseModel):
    account: str
    amount: str


class Bank:
    """Accounts in memory. Tests look at what was paid, and say what goes wrong."""

    def __init__(self) -> None:
        self.paid: list[tuple[str, str]] = []
        self.looks: list[str] = []
        self.failures: list[Exception] = []
        """Raised instead of paying."""
        self.lost_answers: list[Exception] = []
        """Raised after paying."""
        self.remitted: set[str] = set()
        self.looking = 0
        self.most_looking_at_once = 0
        self.blocked = asyncio.Event()
        self.released = asyncio.Event()
        self.was_cancelled = asyncio.Event()

    @tool(effect="read", options=ToolOptions(retry=QUICK, max_result_bytes=4096))
    async def balance(self, account: Annotated[str, Field(pattern=r"^[a-z]{1,20}$")]) -> dict[str, str]:
        """The balance of an account."""
        self.looking += 1
        self.most_looking_at_once = max(self.most_looking_at_once, self.looking)
        try:
            self.looks.append(account)
            if self.failures:
                raise self.failures.pop(0)
            # Two reads of one turn overlap only if both have begun before either ends.
            await asyncio.sleep(0.05)
        finally:
            self.looking -= 1
        return {"account": account, "balance": "100.00", "note": "x" * 5000 if account == "large" else ""}

    @tool(
        effect="read",
        local=True,
        options=ToolOptions(retry=QUICK, start_to_close_timeout=timedelta(seconds=2)),
    )
    async def glance(self, account: str) -> str:
        """A quick look at an account."""
        self.looks.append(account)
        if self.failures:
            raise self.failures.pop(0)
        if account == "closed":
            raise ToolError("the account is closed")
        return f"{account} has 100.00"

    @tool(effect="read", options=ToolOptions(retry=QUICK, max_told_bytes=1_000))
    async def statement(self, page: int, size: int = 500) -> str:
        """A page of the account's statement."""
        return f"page {page} " + "x" * size

    @tool(effect="read", scopes=("books",))
    async def ledger(self) -> str:
        """All that was paid."""
        return "\n".join(map(str, self.paid))

    @tool(effect="write", recovery="key", options=ToolOptions(retry=QUICK))
    async def pay(self, context: ToolContext, account: str, amount: str) -> str:
        """Pay an amount to an account."""
        if self.failures:
            raise self.failures.pop(0)
        if account == "closed":
            raise ToolError("the account is closed")
        self.paid.append((account, amount))
        return f"paid {amount} to {account}"

    @tool(
        effect="write",
        recovery="key",
        options=ToolOptions(
            retry=QUICK,
            heartbeat_timeout=timedelta(seconds=2),
            # Until then the next attempt takes it for alive.
            start_to_close_timeout=timedelta(seconds=5),
        ),
    )
    async def pay_promptly(self, context: ToolContext, account: str, amount: str) -> str:
        """Pay an amount to an account, and be missed soon if the worker dies."""
        self.paid.append((account, amount))
        return f"paid {amount} to {account}"

    @tool(effect="irreversible", options=ToolOptions(retry=QUICK))
    async def wire(self, account: str, amount: str) -> str:
        """Wire an amount abroad; nobody can take it back."""
        self.paid.append((account, amount))
        raise TimeoutError("the line went dead")

    @tool(
        effect="write",
        recovery="key",
        options=ToolOptions(
            retry=QUICK,
            heartbeat_timeout=timedelta(seconds=2),
            # Until then whoever asks what became of it waits.
            start_to_close_timeout=timedelta(seconds=5),
        ),
    )
    async def pay_regardless(self, account: str, amount: str) -> str:
        """Pay an amount to an account, even if the run is cancelled meanwhile."""
        self.blocked.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            self.was_cancelled.set()
        self.paid.append((account, amount))
        return f"paid {amount} to {account}"

    @tool(
        effect="irreversible",
        recovery="probe",
        options=ToolOptions(
            retry=RetryOptions(max_attempts=1),
            heartbeat_timeout=timedelta(seconds=2),
            max_effect_delay=timedelta(milliseconds=100),
            start_to_close_timeout=timedelta(seconds=5),
        ),
    )
    async def remit(self, context: ToolContext, account: str, amount: str) -> str:
        """Pay an amount to an account, at a bank that can be asked. It is tried once."""
        if self.failures:
            raise self.failures.pop(0)
        self.remitted.add(context.idempotency_key)
        self.paid.append((account, amount))
        self.blocked.set()
        if account == "slow":
            await asyncio.sleep(3600)
        if account == "held":
            await self.released.wait()
        if account == "deaf":
            await _in_spite_of_all(3600)
        if self.lost_answers:
            raise self.lost_answers.pop(0)
        return f"remitted {amount} to {account}"

    @remit.probe
    async def find_remittance(
        self, context: ToolContext, account: str, amount: str
    ) -> Happened[str] | DidNotHappen:
        """Whether the bank has the payment."""
        made = context.idempotency_key in self.remitted
        return Happened(f"remitted {amount} to {account}") if made else DidNotHappen()

    @tool(effect="read", options=ToolOptions(heartbeat_timeout=timedelta(seconds=2)))
    async def audit(self) -> str:
        """Look at everything, which takes for ever."""
        self.blocked.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            self.was_cancelled.set()
            raise
        return "done"


async def _in_spite_of_all(seconds: float) -> None:
    """Sleep, and hear of no cancellation but the second."""
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        await asyncio.sleep(seconds)
