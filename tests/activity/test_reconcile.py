"""Writes that Temporal gave up: what the ledger and the probe know, and what a person says."""

from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from agentflow.contracts.names import EFFECT_UNKNOWN_ERROR
from agentflow.errors import ToolUnavailableError
from agentflow.testing import MemoryLedger
from tests.activity.attempts import WRITES, Unreliable, asked, died_after_paying, record_of
from tests.activity.outside import DELAY, LIMIT, Bank, carried_out, failure

# ---------------------------------------------------------------- after Temporal gave up


@pytest.mark.parametrize("name", WRITES)
async def test_a_call_that_never_began_is_kept_from_beginning_later(
    bank: Bank, memory: MemoryLedger, name: str
) -> None:
    pay = getattr(bank, name)
    report = await asked(pay, memory)
    assert (report.state, report.result, report.detail) == ("failed", None, "no attempt of it began")
    # A worker that hung before it began wakes up.
    late = await carried_out(pay, memory)
    assert late.error is not None
    assert late.error.kind == "failed"
    assert bank.payments == []


async def test_a_call_that_could_not_begin_is_kept_from_beginning_later(
    bank: Bank, memory: MemoryLedger
) -> None:
    bank.refusal = ToolUnavailableError("connection refused")
    await failure(bank.pay_and_find, memory)
    report = await asked(bank.pay_and_find, memory)
    assert (report.state, report.detail, bank.probed) == ("failed", "no attempt of it began", 0)


async def test_reconciling_again_says_the_same(bank: Bank, memory: MemoryLedger) -> None:
    assert await asked(bank.pay, memory) == await asked(bank.pay, memory)


async def test_reconciling_finds_a_result_that_temporal_never_heard_of(
    bank: Bank, memory: MemoryLedger
) -> None:
    await carried_out(bank.pay, memory)
    report = await asked(bank.pay, memory)
    assert report.state == "done"
    assert report.result is not None
    assert (report.result.output, report.result.replayed) == ({"number": 1, "to": "ada"}, True)


async def test_reconciling_waits_until_nothing_can_come_about_any_more(
    bank: Bank, memory: MemoryLedger
) -> None:
    await died_after_paying(bank, bank.pay_and_find, memory)
    with pytest.raises(ApplicationError) as busy:
        await asked(bank.pay_and_find, memory)
    assert (busy.value.type, busy.value.next_retry_delay) == ("EffectBusy", LIMIT + DELAY)


async def test_reconciling_asks_the_outside_system_where_it_can(bank: Bank, memory: MemoryLedger) -> None:
    await died_after_paying(bank, bank.pay_and_find, memory)
    memory.advance(LIMIT + DELAY)
    report = await asked(bank.pay_and_find, memory)
    assert (report.state, report.result and report.result.output) == ("done", {"number": 1, "to": "ada"})
    assert bank.payments == ["ada"]


async def test_reconciling_what_the_outside_system_does_not_know_ends_it_for_good(
    bank: Bank, memory: MemoryLedger
) -> None:
    bank.refusal = ConnectionError("cut")
    await failure(bank.pay_and_find, memory)
    memory.advance(DELAY)
    report = await asked(bank.pay_and_find, memory)
    assert (report.state, report.result) == ("failed", None)
    bank.refusal = None
    assert not (await carried_out(bank.pay_and_find, memory, attempt=2)).ok
    assert bank.payments == []


@pytest.mark.parametrize("name", ["pay", "pay_by_key"])
async def test_reconciling_what_nobody_can_be_asked_about_says_unknown(
    bank: Bank, memory: MemoryLedger, name: str
) -> None:
    pay = getattr(bank, name)
    await died_after_paying(bank, pay, memory)
    memory.advance(LIMIT + DELAY)
    assert (await asked(pay, memory)).state == "unknown"
    assert (await record_of(memory, pay)).state == "unknown"


# ---------------------------------------------------------------- a person's word


async def in_doubt(bank: Bank, memory: MemoryLedger) -> None:
    bank.error = TimeoutError()
    await failure(bank.pay, memory)
    bank.error = None


async def test_a_person_says_that_it_happened_and_later_attempts_get_the_result(
    bank: Bank, memory: MemoryLedger
) -> None:
    await in_doubt(bank, memory)
    report = await asked(bank.pay, memory, "happened", {"number": 7, "to": "ada"}, "saw it")
    assert (report.state, report.result and report.result.output) == ("done", {"number": 7, "to": "ada"})
    record = await record_of(memory, bank.pay)
    assert (record.closed_by, record.is_open) == ("ann", False)
    assert "happened, says ann: saw it" in record.detail
    assert (await carried_out(bank.pay, memory, attempt=2)).output == {"number": 7, "to": "ada"}


async def test_a_person_says_that_it_did_not_happen(bank: Bank, memory: MemoryLedger) -> None:
    await in_doubt(bank, memory)
    report = await asked(bank.pay, memory, "did_not_happen")
    assert report.state == "failed"
    assert report.result is not None
    assert report.result.error is not None
    assert report.result.error.message == "it did not happen, says ann"
    assert (await record_of(memory, bank.pay)).closed_by == "ann"


async def test_a_person_gives_up_and_the_record_stays_unknown_but_closed(
    bank: Bank, memory: MemoryLedger
) -> None:
    await in_doubt(bank, memory)
    assert (await asked(bank.pay, memory, "abort", text="no way to tell")).state == "unknown"
    record = await record_of(memory, bank.pay)
    assert (record.state, record.closed_by, record.is_open) == ("unknown", "ann", False)
    assert (await failure(bank.pay, memory, attempt=2)).type == EFFECT_UNKNOWN_ERROR


async def test_an_end_on_record_stands_whatever_a_person_says(bank: Bank, memory: MemoryLedger) -> None:
    await carried_out(bank.pay, memory)
    report = await asked(bank.pay, memory, "did_not_happen")
    assert report.state == "done"
    assert (await record_of(memory, bank.pay)).closed_by is None


async def test_a_word_on_an_attempt_that_may_still_be_at_it_waits(bank: Bank, memory: MemoryLedger) -> None:
    await died_after_paying(bank, bank.pay, memory)
    with pytest.raises(ApplicationError) as busy:
        await asked(bank.pay, memory, "did_not_happen")
    assert busy.value.type == "EffectBusy"


@pytest.mark.usefixtures("no_pauses")
async def test_a_word_whose_first_try_was_taken_unheard_counts_once(bank: Bank, memory: MemoryLedger) -> None:
    await in_doubt(bank, memory)
    ledger: Any = Unreliable(memory, "replace", 1, taken=True)
    assert (await asked(bank.pay, ledger, "did_not_happen")).state == "failed"
