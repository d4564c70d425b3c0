"""Attempts of writes, one after the other: what they find, what they leave, what breaks between them."""

from typing import Any

import pytest

from agentflow.activity.ledger_calls import LedgerCalls
from agentflow.activity.reconcile import EffectActivities
from agentflow.activity.tool import Tool
from agentflow.contracts.effects import (
    EffectClosing,
    EffectInquiry,
    EffectRecord,
    EffectReport,
    EffectVerdict,
)
from agentflow.contracts.tools import ToolInvocation
from agentflow.errors import (
    LedgerError,
)
from agentflow.ports.ledger import EffectLedger
from agentflow.testing import MemoryLedger
from agentflow.testing.settings import TEST_SEAL_KEYS
from tests.activity.outside import Bank, carried_out, environment, invocation_of

WRITES = ["pay", "pay_by_key", "pay_and_find"]


async def record_of(ledger: EffectLedger, tool: Tool[..., Any]) -> EffectRecord:
    """What the ledger knows of the tool's call."""
    found = await ledger.get(invocation_of(tool).ledger_key)
    assert found is not None
    return found.record


async def died_after_paying(bank: Bank, tool: Tool[..., Any], ledger: EffectLedger) -> None:
    """An attempt whose process was killed after the payment, before anything was recorded of it."""

    class Killed(BaseException):
        pass

    bank.error = Killed()
    with pytest.raises(Killed):
        await carried_out(tool, ledger)
    bank.error = None


async def asked(
    tool: Tool[..., Any],
    ledger: EffectLedger,
    verdict: EffectVerdict | None = None,
    output: Any = None,
    text: str = "",
    invocation: ToolInvocation | None = None,
) -> EffectReport:
    """What reconciling comes to, or closing when there is a verdict."""
    closing = EffectClosing(verdict=verdict, by="ann", text=text, output=output) if verdict else None
    call = invocation or invocation_of(tool)
    inquiry = EffectInquiry(tool=tool.contract.name, invocation=call, closing=closing)
    activities = EffectActivities([tool], LedgerCalls(ledger, TEST_SEAL_KEYS))
    return await environment().run(activities.close if closing else activities.reconcile, inquiry)


class Unreliable:
    """A ledger whose operations fail for some time, before or after they have been taken."""

    def __init__(self, ledger: MemoryLedger, operation: str, times: int, *, taken: bool) -> None:
        self._ledger, self._operation, self._times, self._taken = ledger, operation, times, taken

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._ledger, name)

        async def unreliable(*args: Any, **options: Any) -> Any:
            fails = name == self._operation and self._times > 0
            if fails:
                self._times -= 1
            if fails and not self._taken:
                raise LedgerError("the ledger can't be reached")
            answer = await method(*args, **options)
            if fails:
                raise LedgerError("the ledger's answer was lost")
            return answer

        return unreliable
