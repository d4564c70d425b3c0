"""What is forbidden now, as a worker reads it: shared, a second old at most, and nothing where it can't be read."""

import asyncio
import time
from datetime import timedelta
from typing import Any

import pytest

from agentflow.activity.permits import WritePermits
from agentflow.activity.stops import StopReader
from agentflow.contracts.identity import Consent, UsedDelegation
from agentflow.contracts.stops import CACHED_FOR, Stop
from agentflow.errors import LedgerError
from agentflow.testing import MemoryLedger
from tests.activity.attempts import Unreliable
from tests.activity.outside import Bank, carried_out, environment, failure, grounds_of, invocation_of

OURS = grounds_of(
    "acme",
    consents=(
        Consent(by="ann", kids=("ann-1",)),
        Consent(by="bob", kids=("bob-1",), delegation=UsedDelegation(id="d-1", until=0)),
    ),
)


class Counted(MemoryLedger):
    """Counts how often it is asked, and takes its time."""

    def __init__(self, takes: float = 0.0) -> None:
        super().__init__()
        self.asked = 0
        self.takes = takes
        self.answer: Any = None

    async def stops(self, namespace: str) -> tuple[Stop, ...]:
        self.asked += 1
        found = await super().stops(namespace)
        await asyncio.sleep(self.takes)
        return found if self.answer is None else self.answer


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("fleet", "writes are frozen for fleet (by olga, since 2026-01-01T00:00:00+00:00): odd"),
        ("agent:Payer", "writes are frozen for agent:Payer"),
        ("agent:PAYER", "writes are frozen for agent:PAYER"),
        ("tenant:acme", "writes are frozen for tenant:acme"),
        ("tenant:Acme", "writes are frozen for tenant:Acme"),
        ("key:bob-1", "the approver's key bob-1 is revoked"),
        ("delegation:d-1", "the delegation d-1 is revoked"),
    ],
)
async def test_what_forbids_a_write_is_said(memory: MemoryLedger, key: str, said: str) -> None:
    await memory.stop("default", key, by="olga", reason="odd")
    (objection,) = await StopReader(memory).objections("default", OURS)
    assert objection.startswith(said)


@pytest.mark.parametrize(
    "key", ["agent:Payer2", "tenant:acme2", "tenant:Payer", "key:BOB-1", "key:d-1", "delegation:bob-1"]
)
async def test_what_forbids_others_does_not_forbid_it(memory: MemoryLedger, key: str) -> None:
    await memory.stop("default", key, by="olga")
    assert await StopReader(memory).objections("default", OURS) == ()


async def test_another_namespace_is_not_concerned(memory: MemoryLedger) -> None:
    await memory.stop("other", "fleet", by="olga")
    standing = StopReader(memory)
    assert await standing.objections("default", OURS) == ()
    assert await standing.objections("other", OURS)


async def test_what_was_lifted_forbids_nothing(memory: MemoryLedger) -> None:
    await memory.stop("default", "fleet", by="olga")
    await memory.lift("default", "fleet", by="olga")
    assert await StopReader(memory).objections("default", OURS) == ()


async def test_attempts_at_once_share_one_read() -> None:
    ledger = Counted(takes=0.02)
    standing = StopReader(ledger)
    await asyncio.gather(*(standing.objections("default", OURS) for _ in range(50)))
    assert ledger.asked == 1


async def test_one_who_waits_for_a_shared_read_and_is_cancelled_takes_it_from_nobody() -> None:
    ledger = Counted(takes=0.05)
    standing = StopReader(ledger)
    first, second = (asyncio.ensure_future(standing.objections("default", OURS)) for _ in range(2))
    await asyncio.sleep(0.01)
    first.cancel()
    assert await second == ()
    assert ledger.asked == 1


async def test_what_was_read_counts_from_when_it_was_asked_for_and_for_no_longer_than_its_time() -> None:
    ledger = Counted(takes=0.05)
    standing = StopReader(ledger, cached_for=timedelta(seconds=0.1))
    assert await standing.objections("default", OURS) == ()
    await ledger.stop("default", "fleet", by="olga")
    began = time.monotonic()
    while not await standing.objections("default", OURS):
        assert time.monotonic() < began + 30
    assert ledger.asked == 2


async def test_by_default_it_counts_for_a_second_at_most() -> None:
    assert timedelta(0) < CACHED_FOR <= timedelta(seconds=1)


async def test_a_machine_that_slept_reads_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Counted()
    standing = StopReader(ledger)
    await standing.objections("default", OURS)
    await ledger.stop("default", "fleet", by="olga")
    woken = time.time() + 3600
    monkeypatch.setattr(time, "time", lambda: woken)
    assert await standing.objections("default", OURS)


async def test_an_answer_that_takes_too_long_is_none() -> None:
    standing = StopReader(Counted(takes=0.2), heard_within=timedelta(seconds=0.05))
    with pytest.raises(LedgerError, match="did not say within"):
        await standing.objections("default", OURS)


async def test_an_answer_that_its_waiter_comes_to_too_late_is_none() -> None:
    ledger = Counted(takes=0.02)
    standing = StopReader(ledger, heard_within=timedelta(seconds=0.1))
    waiting = asyncio.ensure_future(standing.objections("default", OURS))
    await asyncio.sleep(0.01)
    time.sleep(0.15)  # noqa: ASYNC251 - a worker that is busy, or was paused
    with pytest.raises(LedgerError, match="did not say within"):
        await waiting


@pytest.mark.usefixtures("no_pauses")
async def test_a_ledger_that_can_not_be_read_says_nothing_and_is_asked_again() -> None:
    broken: Any = Unreliable(MemoryLedger(), "stops", 3, taken=False)
    standing = StopReader(broken)
    with pytest.raises(LedgerError):
        await standing.objections("default", OURS)
    assert await standing.objections("default", OURS) == ()


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("answer", [True, [], ["fleet"], ("fleet",), "", {}])
async def test_a_ledger_that_answers_something_else_says_nothing(answer: Any) -> None:
    ledger = Counted()
    ledger.answer = answer
    with pytest.raises(LedgerError, match="something else"):
        await StopReader(ledger).objections("default", OURS)


async def test_a_call_that_does_not_say_whose_it_is_is_not_made(bank: Bank, memory: MemoryLedger) -> None:
    error = await failure(bank.pay, memory, permits=WritePermits(StopReader(memory), "dev").permits)
    assert error.type == "ForbiddenNow"
    assert bank.payments == []


async def test_a_write_of_a_frozen_tenant_is_not_made_and_that_of_another_is(
    bank: Bank, memory: MemoryLedger
) -> None:
    await memory.stop("default", "tenant:acme", by="olga", reason="odd payments")
    permits = WritePermits(StopReader(memory), "dev").permits
    error = await failure(bank.pay, memory, invocation_of(bank.pay, grounds=OURS), permits=permits)
    assert (error.type, error.non_retryable) == ("ForbiddenNow", True)
    assert "tenant:acme (by olga" in error.message
    other = invocation_of(bank.pay, index=2, grounds=grounds_of("sunny"))
    assert (await carried_out(bank.pay, memory, other, permits=permits)).ok
    assert bank.payments == ["ada"]


async def test_the_freezes_of_an_agent_and_a_tenant_are_told_without_revocations(
    memory: MemoryLedger,
) -> None:
    for key in ("tenant:acme", "key:ann-1", "agent:Other", "fleet"):
        await memory.stop("default", key, by="olga")
    assert await environment().run(StopReader(memory).frozen, "Payer", "acme") == ("tenant:acme", "fleet")
