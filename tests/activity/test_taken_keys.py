"""A key under which the run, before it was reset, asked for other arguments."""

import pytest
from temporalio.exceptions import ApplicationError

from agentflow.activity.ledger_calls import LedgerCalls
from agentflow.activity.reconcile import EffectActivities
from agentflow.contracts.effects import EffectClosing, EffectInquiry, EffectQuery
from agentflow.core.effects import NEVER_BEGAN
from agentflow.testing import MemoryLedger
from agentflow.testing.settings import TEST_SEAL_KEYS
from tests.activity.outside import Bank, carried_out, environment, failure, invocation_of


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


async def test_no_word_of_a_person_changes_the_record_of_a_call_with_other_arguments(
    bank: Bank, memory: MemoryLedger
) -> None:
    await carried_out(bank.pay, memory)
    inquiry = EffectInquiry(
        tool="pay",
        invocation=invocation_of(bank.pay, {"to": "mallory"}),
        closing=EffectClosing(verdict="did_not_happen", by="otto"),
    )
    activities = EffectActivities([bank.pay], LedgerCalls(memory, TEST_SEAL_KEYS))
    with pytest.raises(ApplicationError, match="other arguments"):
        await environment().run(activities.close, inquiry)
    (found,) = (await memory.find(EffectQuery())).effects
    assert found.record.state == "done"
