"""A key under which the run, before it was reset, asked for other arguments."""

import pytest

from agentflow.activity.ledger_calls import LedgerCalls
from agentflow.activity.reconcile import EffectActivities
from agentflow.contracts.effects import (
    EarlierEffect,
    EffectClosing,
    EffectInquiry,
    EffectQuery,
    EffectReport,
    EffectVerdict,
)
from agentflow.contracts.tools import ToolInvocation
from agentflow.contracts.wire import sha256_of
from agentflow.core.effects import NEVER_BEGAN
from agentflow.core.idempotency import key_beside
from agentflow.core.record_seals import sealed
from agentflow.errors import ToolUnavailableError
from agentflow.testing import MemoryLedger
from agentflow.testing.settings import TEST_SEAL_KEYS
from tests.activity.attempts import record_of
from tests.activity.outside import LIMIT, Bank, carried_out, environment, failure, invocation_of


@pytest.fixture
def bank() -> Bank:
    return Bank()


@pytest.fixture
def memory() -> MemoryLedger:
    return MemoryLedger()


async def test_a_key_that_is_taken_by_other_arguments_is_an_earlier_effect(
    bank: Bank, memory: MemoryLedger
) -> None:
    await carried_out(bank.pay, memory)
    error = await failure(bank.pay, memory, invocation_of(bank.pay, {"to": "mallory"}))
    assert (error.type, error.non_retryable) == ("EarlierEffect", True)
    assert bank.payments == ["ada"]


async def test_of_a_call_whose_key_is_taken_nothing_was_made(bank: Bank, memory: MemoryLedger) -> None:
    await carried_out(bank.pay, memory)
    inquiry = EffectInquiry(tool="pay", invocation=invocation_of(bank.pay, {"to": "mallory"}))
    activities = EffectActivities([bank.pay], LedgerCalls(memory, TEST_SEAL_KEYS))
    report = await environment().run(activities.reconcile, inquiry)
    assert (report.state, report.detail) == ("failed", NEVER_BEGAN)


async def test_no_word_of_a_person_changes_that_a_call_whose_key_is_taken_was_not_made(
    bank: Bank, memory: MemoryLedger
) -> None:
    await carried_out(bank.pay, memory)
    report = await closed(bank, memory, invocation_of(bank.pay, {"to": "mallory"}), "happened")
    assert (report.state, report.detail) == ("failed", NEVER_BEGAN)
    (found,) = (await memory.find(EffectQuery())).effects
    assert found.record.state == "done"


@pytest.mark.parametrize("between", [0, 1, 3])
async def test_a_call_that_was_made_beside_others_in_its_place_is_found(
    bank: Bank, memory: MemoryLedger, between: int
) -> None:
    others = [invocation_of(bank.pay, {"to": f"other {number}"}) for number in range(between + 1)]
    mine = invocation_of(bank.pay, {"to": "mine"})
    key = mine.ledger_key
    for invocation in (*others, mine):
        await carried_out(bank.pay, memory, invocation.model_copy(update={"ledger_key": key}))
        last, key = key, key_beside(key)
    activities = EffectActivities([bank.pay], LedgerCalls(memory, TEST_SEAL_KEYS))
    report = await environment().run(activities.reconcile, EffectInquiry(tool="pay", invocation=mine))
    assert report.state == "done"
    assert (await closed(bank, memory, mine, "did_not_happen")).state == "done"
    lets_by = [(await in_the_way(bank, memory, mine, each)).lets_by for each in keys_from(mine, last)]
    assert lets_by == [True] * (between + 1)
    again = await carried_out(bank.pay, memory, mine.model_copy(update={"ledger_key": last}))
    assert again.replayed


async def test_a_call_of_which_nothing_was_begun_lets_another_one_by_and_can_not_begin_any_more(
    bank: Bank, memory: MemoryLedger
) -> None:
    bank.refusal = ToolUnavailableError("not now")
    await failure(bank.pay, memory)
    mine = invocation_of(bank.pay, {"to": "mallory"})
    assert (await in_the_way(bank, memory, mine, mine.ledger_key)).lets_by
    bank.refusal = None
    assert (await carried_out(bank.pay, memory, attempt=2)).error is not None
    assert bank.payments == []


async def test_a_record_whose_lease_is_held_may_be_acted_on_though_it_says_that_nothing_was_begun(
    bank: Bank, memory: MemoryLedger
) -> None:
    bank.refusal = ToolUnavailableError("not now")
    await failure(bank.pay, memory)
    held = (await record_of(memory, bank.pay)).model_copy(update={"lease": LIMIT})
    await memory.replace(sealed(held, 3, TEST_SEAL_KEYS), version=2)
    mine = invocation_of(bank.pay, {"to": "mallory"})
    assert not (await in_the_way(bank, memory, mine, mine.ledger_key)).lets_by


async def test_what_counted_in_the_place_of_a_call_does_not_let_another_one_by(
    bank: Bank, memory: MemoryLedger
) -> None:
    await carried_out(bank.pay, memory)
    counted = (await record_of(memory, bank.pay)).model_copy(update={"counts": sha256_of("another run's")})
    await memory.replace(sealed(counted, 3, TEST_SEAL_KEYS), version=2)
    mine = invocation_of(bank.pay, {"to": "mallory"})
    assert not (await in_the_way(bank, memory, mine, mine.ledger_key)).lets_by


def keys_from(mine: ToolInvocation, last: str) -> list[str]:
    """The keys in whose place it was before."""
    keys = [mine.ledger_key]
    while keys[-1] != last:
        keys.append(key_beside(keys[-1]))
    return keys[:-1]


async def in_the_way(bank: Bank, memory: MemoryLedger, mine: ToolInvocation, key: str) -> EarlierEffect:
    error = await failure(bank.pay, memory, mine.model_copy(update={"ledger_key": key}))
    return EarlierEffect.model_validate(error.details[0]["earlier"])


async def closed(
    bank: Bank, memory: MemoryLedger, invocation: ToolInvocation, verdict: EffectVerdict
) -> EffectReport:
    inquiry = EffectInquiry(
        tool="pay", invocation=invocation, closing=EffectClosing(verdict=verdict, by="otto", output="paid")
    )
    activities = EffectActivities([bank.pay], LedgerCalls(memory, TEST_SEAL_KEYS))
    return await environment().run(activities.close, inquiry)
