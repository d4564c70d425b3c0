"""Each attempt of a write asks again: is it this worker's kind of run, and do its approvals hold by the keys of now?"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from agentflow.activity.permits import WritePermits
from agentflow.activity.stops import StopReader
from agentflow.adapters.signer import Signer
from agentflow.contracts.grounds import Grounds
from agentflow.contracts.identity import ApproverKey, Consent
from agentflow.contracts.names import FORBIDDEN_NOW_ERROR
from agentflow.contracts.rules import Quorum
from agentflow.contracts.stops import Stop, key_stop
from agentflow.core.consents import key_hash
from agentflow.testing import MemoryLedger
from tests.activity.outside import Bank, carried_out, failure, grounds_of, invocation_of

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
ANN = Signer.generate("ann", ("finance",), kid="ann-1")
BOB = Signer.generate("bob", ("finance",), kid="bob-1")


class Keys:
    """A list of approvers' keys that people edit."""

    def __init__(self, *keys: ApproverKey) -> None:
        self.listed = keys
        self.asked = 0
        self.fails: Exception | None = None

    async def keys(self) -> tuple[ApproverKey, ...]:
        self.asked += 1
        if self.fails:
            raise self.fails
        return tuple(self.listed)


def consent_of(signer: Signer) -> Consent:
    key = signer.public()
    return Consent(by=signer.subject, kids=(signer.kid,), key_hashes=(key_hash(key),), roles=signer.roles)


def approved(*signers: Signer, people: int = 1, **changes: Any) -> Grounds:
    return grounds_of(
        "acme",
        identity="signed",
        quorum=Quorum(people=people, roles=("finance",)),
        consents=tuple(map(consent_of, signers)),
        **changes,
    )


async def refusal(bank: Bank, ledger: MemoryLedger, grounds: Grounds, permits: WritePermits) -> str:
    """What an attempt says that did not call the tool."""
    invocation = invocation_of(bank.pay, grounds=grounds)
    error = await failure(bank.pay, ledger, invocation, permits=permits.permits)
    assert bank.payments == []
    assert (error.type, error.non_retryable) == (FORBIDDEN_NOW_ERROR, True)
    return error.message


@pytest.mark.parametrize(
    ("grounds", "why"),
    [
        (grounds_of("acme", tier="dev"), "the run is of tier dev, and this worker of production"),
        (grounds_of("acme", tier="staging"), "of tier staging"),
        (grounds_of("acme", tier="production"), "the run's approvers are trusted, and this worker's signed"),
    ],
)
async def test_a_run_of_another_tier_or_with_other_approvers_writes_nothing(
    bank: Bank, memory: MemoryLedger, grounds: Grounds, why: str
) -> None:
    permits = WritePermits(StopReader(memory), "production", Keys(ANN.public()))
    assert why in await refusal(bank, memory, grounds, permits)


async def test_a_run_that_wants_signatures_writes_nothing_on_a_worker_that_wants_none(
    bank: Bank, memory: MemoryLedger
) -> None:
    said = await refusal(bank, memory, approved(ANN), WritePermits(StopReader(memory), "dev"))
    assert "the run's approvers are signed, and this worker's trusted" in said


async def test_a_write_that_says_nothing_of_what_it_rests_on_is_not_made(
    bank: Bank, memory: MemoryLedger
) -> None:
    permits = WritePermits(StopReader(memory), "dev")
    error = await failure(bank.pay, memory, permits=permits.permits)
    assert "does not say what it rests on" in error.message
    assert bank.payments == []


@pytest.mark.parametrize(
    ("now", "why"),
    [
        ((BOB.public(),), "the key ann-1 is unknown"),
        ((Signer.generate("ann", ("finance",), kid="ann-1").public(),), "is another key by now"),
        ((ANN.public().model_copy(update={"revoked_at": LONG_AGO}),), "the key ann-1 is revoked"),
        ((ANN.public().model_copy(update={"expires": LONG_AGO}),), "expired"),
        ((ANN.public().model_copy(update={"roles": ("support",)}),), "may not give the role finance"),
        ((ANN.public().model_copy(update={"subjects": ("anna",)}),), "does not speak for ann"),
    ],
)
async def test_an_approval_that_does_not_hold_by_the_keys_of_now_pays_nothing(
    bank: Bank, memory: MemoryLedger, now: tuple[ApproverKey, ...], why: str
) -> None:
    keys = Keys(ANN.public(), BOB.public())
    permits = WritePermits(StopReader(memory), "dev", keys, cached_for=timedelta(0))
    keys.listed = now
    assert why in await refusal(bank, memory, approved(ANN), permits)


async def test_one_of_two_whose_key_was_revoked_in_the_ledger_makes_no_quorum(
    bank: Bank, memory: MemoryLedger
) -> None:
    await memory.stop("default", key_stop("bob-1"), by="security")
    permits = WritePermits(StopReader(memory), "dev", Keys(ANN.public(), BOB.public()))
    said = await refusal(bank, memory, approved(ANN, BOB, people=2), permits)
    assert "the approver's key bob-1 is revoked" in said


@pytest.mark.parametrize(
    ("grounds", "why"),
    [
        (approved(ANN, people=2), "1 agreed, and 2 must"),
        (approved(ANN, ANN, people=2), "another person is needed"),
        (approved(ANN, requested_by="\uff21nn"), "asked for this run"),
    ],
)
async def test_consents_that_never_made_a_quorum_pay_nothing(
    bank: Bank, memory: MemoryLedger, grounds: Grounds, why: str
) -> None:
    permits = WritePermits(StopReader(memory), "dev", Keys(ANN.public(), BOB.public()))
    assert why in await refusal(bank, memory, grounds, permits)


async def test_an_approval_that_still_holds_pays(bank: Bank, memory: MemoryLedger) -> None:
    permits = WritePermits(StopReader(memory), "dev", Keys(ANN.public(), BOB.public()))
    invocation = invocation_of(bank.pay, grounds=approved(ANN, BOB, people=2))
    assert (await carried_out(bank.pay, memory, invocation, permits=permits.permits)).ok
    assert len(bank.payments) == 1


async def test_keys_that_can_not_be_told_now_pay_nothing_and_are_asked_again(
    bank: Bank, memory: MemoryLedger
) -> None:
    keys = Keys(ANN.public())
    keys.fails = OSError("the disk is gone")
    permits = WritePermits(StopReader(memory), "dev", keys)
    invocation = invocation_of(bank.pay, grounds=approved(ANN))
    error: ApplicationError = await failure(bank.pay, memory, invocation, permits=permits.permits)
    assert (bank.payments, error.non_retryable) == ([], False)
    keys.fails = None
    assert (await carried_out(bank.pay, memory, invocation, permits=permits.permits)).ok


async def test_keys_are_read_once_for_all_writes_of_a_second(memory: MemoryLedger) -> None:
    keys = Keys(ANN.public())
    permits = WritePermits(StopReader(memory), "dev", keys)
    for index in range(1, 6):
        bank = Bank()
        invocation = invocation_of(bank.pay, index=index, grounds=approved(ANN))
        assert (await carried_out(bank.pay, memory, invocation, permits=permits.permits)).ok
    assert keys.asked == 1
    await asyncio.sleep(0)


class Interrupted(Keys):
    """Something happens while the list is read, which takes its time."""

    def __init__(self, *keys: ApproverKey, meanwhile: Callable[[], Awaitable[Any]]) -> None:
        super().__init__(*keys)
        self._meanwhile = meanwhile

    async def keys(self) -> tuple[ApproverKey, ...]:
        found = await super().keys()
        await self._meanwhile()
        return found


@pytest.mark.parametrize("stop", ["fleet", "agent:Payer", "tenant:acme", key_stop("ann-1")])
async def test_a_stop_that_comes_while_the_keys_are_read_is_heard_by_the_write_that_reads_them(
    bank: Bank, memory: MemoryLedger, stop: str
) -> None:
    keys = Interrupted(ANN.public(), meanwhile=lambda: memory.stop("default", stop, by="security"))
    said = await refusal(bank, memory, approved(ANN), WritePermits(StopReader(memory), "dev", keys))
    assert "by security" in said


async def test_keys_that_were_read_for_too_long_pay_nothing_and_are_asked_again(
    bank: Bank, memory: MemoryLedger
) -> None:
    keys = Interrupted(ANN.public(), meanwhile=lambda: asyncio.sleep(0.2))
    permits = WritePermits(StopReader(memory), "dev", keys, heard_within=timedelta(seconds=0.1))
    error = await failure(
        bank.pay, memory, invocation_of(bank.pay, grounds=approved(ANN)), permits=permits.permits
    )
    assert (bank.payments, error.type, error.non_retryable) == ([], "OutsideError", False)
    assert "within 0.1 s" in error.message


class SlowStops(MemoryLedger):
    async def stops(self, namespace: str) -> tuple[Stop, ...]:
        await asyncio.sleep(0.15)
        return await super().stops(namespace)


async def test_keys_that_grew_old_while_the_ledger_answered_pay_nothing(bank: Bank) -> None:
    ledger, limit = SlowStops(), timedelta(seconds=0.1)
    permits = WritePermits(StopReader(ledger), "dev", Keys(ANN.public()), heard_within=limit)
    error = await failure(
        bank.pay, ledger, invocation_of(bank.pay, grounds=approved(ANN)), permits=permits.permits
    )
    assert (bank.payments, error.type, error.non_retryable) == ([], "OutsideError", False)
