"""Records that are older than what an attempt has done: what they say of it is not believed."""

import asyncio
import copy
from datetime import timedelta
from typing import Any

import pytest

from agentflow.activity.execution import tool_activity
from agentflow.activity.ledger_calls import LedgerCalls
from agentflow.adapters.memory_blobs import MemoryBlobStore
from agentflow.contracts.ledger import Adoption
from agentflow.contracts.names import EFFECT_UNKNOWN_ERROR
from agentflow.contracts.tools import ToolInvocation
from agentflow.contracts.wire import sha256_of
from agentflow.contracts.work import Work
from agentflow.errors import ToolUnavailableError
from agentflow.testing import MemoryLedger
from agentflow.testing.settings import TEST_SEAL_KEYS
from tests.activity.attempts import asked
from tests.activity.outside import CHAIN, DELAY, LIMIT, Bank, carried_out, environment, failure, invocation_of
from tests.activity.test_own_ledger import STARTED

LEASE = LIMIT + DELAY


class Killed(BaseException):
    pass


async def restored(bank: Bank, memory: MemoryLedger, name: str) -> tuple[MemoryLedger, ToolInvocation]:
    """A backup from before the attempt that paid and died, when nothing was begun; and the call."""
    tool = getattr(bank, name)
    work = Work(id=sha256_of("pay ada"), chain=CHAIN, ledger=(await memory.identity()).id)
    invocation = invocation_of(tool).model_copy(update={"work": work})
    bank.refusal = ToolUnavailableError("not now")
    await failure(tool, memory, invocation)
    bank.refusal, backup = None, copy.deepcopy(memory)
    bank.error = Killed()
    with pytest.raises(Killed):
        await carried_out(tool, memory, invocation, attempt=2)
    bank.error = None
    await backup.adopt(Adoption(by="olga", lost="all since noon"))
    backup.advance(3 * LEASE)
    return backup, invocation


@pytest.mark.parametrize("name", ["pay", "pay_and_find"])
async def test_a_backup_in_which_nothing_was_begun_makes_no_second_payment(
    bank: Bank, memory: MemoryLedger, name: str
) -> None:
    backup, invocation = await restored(bank, memory, name)
    tool = getattr(bank, name)
    if name == "pay":
        assert (await failure(tool, backup, invocation, attempt=3)).type == EFFECT_UNKNOWN_ERROR
    else:
        # The outside system knows it.
        assert (await carried_out(tool, backup, invocation, attempt=3)).ok
    assert bank.payments == ["ada"]


@pytest.mark.parametrize(("name", "state"), [("pay", "unknown"), ("pay_and_find", "done")])
async def test_nobody_is_told_by_such_a_backup_that_nothing_was_begun(
    bank: Bank, memory: MemoryLedger, name: str, state: str
) -> None:
    backup, invocation = await restored(bank, memory, name)
    assert invocation.work is not None
    begun = invocation.work.model_copy(update={"begun": STARTED - timedelta(seconds=60)})
    late = invocation.model_copy(update={"work": begun})
    assert (await asked(getattr(bank, name), backup, invocation=late)).state == state


async def test_an_attempt_that_is_cancelled_while_it_looks_at_its_ledger_leaves_word_that_it_did_nothing(
    bank: Bank, memory: MemoryLedger
) -> None:
    looking, may_answer, plain = asyncio.Event(), asyncio.Event(), memory.identity

    async def slow() -> Any:
        looking.set()
        await may_answer.wait()
        return await plain()

    memory.identity = slow  # type: ignore[method-assign]
    surroundings = environment()
    attempt = asyncio.create_task(carried_out_in(surroundings, bank, memory))
    await looking.wait()
    surroundings.cancel()
    may_answer.set()
    with pytest.raises(asyncio.CancelledError):
        await attempt
    assert (await carried_out(bank.pay, memory, attempt=2)).ok
    assert bank.payments == ["ada"]


async def carried_out_in(surroundings: Any, bank: Bank, memory: MemoryLedger) -> Any:
    run = tool_activity(bank.pay, LedgerCalls(memory, TEST_SEAL_KEYS), MemoryBlobStore())
    return await surroundings.run(run, invocation_of(bank.pay))
