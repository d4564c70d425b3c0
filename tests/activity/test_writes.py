"""Writes and the ledger, attempt by attempt: what a later one finds, and what it does then."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from temporalio.exceptions import ApplicationError

from agentflow.activity import hold
from agentflow.activity.execution import tool_activity
from agentflow.activity.ledger_calls import LedgerCalls
from agentflow.activity.reconcile import EffectActivities
from agentflow.activity.tool import DidNotHappen, Happened, tool
from agentflow.adapters.memory_blobs import MemoryBlobStore
from agentflow.adapters.sqlite_ledger import SQLiteLedger
from agentflow.contracts.effects import (
    EffectInquiry,
    EffectRecord,
)
from agentflow.contracts.names import EFFECT_UNKNOWN_ERROR
from agentflow.contracts.tools import ToolOptions, ToolResult
from agentflow.core.record_seals import sealed
from agentflow.errors import (
    ConfigurationError,
    EffectUnknownError,
    ToolError,
    ToolUnavailableError,
)
from agentflow.testing import MemoryLedger
from agentflow.testing.settings import TEST_SEAL_KEYS
from tests.activity.attempts import WRITES, Unreliable, died_after_paying, record_of
from tests.activity.outside import DELAY, LIMIT, Bank, carried_out, environment, failure, invocation_of

# ---------------------------------------------------------------- once


@pytest.mark.parametrize("name", WRITES)
async def test_a_write_is_done_and_recorded(bank: Bank, memory: MemoryLedger, name: str) -> None:
    pay = getattr(bank, name)
    result = await carried_out(pay, memory)
    assert result.output == {"number": 1, "to": "ada"}
    assert not result.replayed
    record = await record_of(memory, pay)
    assert (record.state, record.attempts, record.workflow_id) == ("done", 1, "refund-1")
    assert ToolResult.model_validate_json(record.result or "").output == result.output


@pytest.mark.parametrize("name", WRITES)
async def test_a_write_that_is_done_is_not_done_again(bank: Bank, memory: MemoryLedger, name: str) -> None:
    pay = getattr(bank, name)
    first = await carried_out(pay, memory)
    again = await carried_out(pay, memory, attempt=2)
    assert bank.payments == ["ada"]
    assert (again.output, again.replayed) == (first.output, True)


async def test_another_call_with_the_same_arguments_is_another_write(
    bank: Bank, memory: MemoryLedger
) -> None:
    for index in (1, 2):
        await carried_out(bank.pay, memory, invocation_of(bank.pay, index=index))
    assert bank.payments == ["ada", "ada"]
    assert len(set(bank.keys)) == 2


async def test_the_tool_is_told_its_key_and_attempt(bank: Bank, memory: MemoryLedger) -> None:
    bank.refusal = ToolUnavailableError("not now")
    await failure(bank.pay, memory)
    bank.refusal = None
    await carried_out(bank.pay, memory, attempt=2)
    assert bank.attempts[-1] == 2
    assert bank.keys[-1:] == [invocation_of(bank.pay).ledger_key]


async def test_of_many_attempts_at_once_one_pays(bank: Bank, ledger: SQLiteLedger) -> None:
    run, invocation = (
        tool_activity(bank.pay, LedgerCalls(ledger, TEST_SEAL_KEYS), MemoryBlobStore()),
        invocation_of(bank.pay),
    )
    outcomes = await asyncio.gather(
        *(environment(attempt).run(run, invocation) for attempt in range(1, 17)), return_exceptions=True
    )
    assert bank.payments == ["ada"]
    assert {type(outcome) for outcome in outcomes} <= {ToolResult, ApplicationError}
    refused = {outcome.type for outcome in outcomes if isinstance(outcome, ApplicationError)}
    assert refused <= {"EffectBusy"}


# ---------------------------------------------------------------- an attempt before it died


@pytest.mark.parametrize("name", WRITES)
async def test_while_the_effect_may_still_come_about_a_later_attempt_waits(
    bank: Bank, memory: MemoryLedger, name: str
) -> None:
    pay = getattr(bank, name)
    await died_after_paying(bank, pay, memory)
    delay = timedelta(0) if name == "pay_by_key" else DELAY
    memory.advance(LIMIT + delay - timedelta(seconds=1))
    error = await failure(pay, memory, attempt=2)
    # The run waits, and asks anew.
    assert (error.type, error.non_retryable) == ("EffectBusy", True)
    assert error.next_retry_delay == timedelta(seconds=1)
    assert bank.payments == ["ada"]


async def test_a_write_that_a_dead_attempt_began_is_not_done_but_asked_about(
    bank: Bank, memory: MemoryLedger
) -> None:
    await died_after_paying(bank, bank.pay, memory)
    memory.advance(LIMIT + DELAY)
    error = await failure(bank.pay, memory, attempt=2)
    assert (error.type, error.non_retryable) == (EFFECT_UNKNOWN_ERROR, True)
    assert invocation_of(bank.pay).ledger_key in error.message
    assert (await record_of(memory, bank.pay)).state == "unknown"
    assert (await failure(bank.pay, memory, attempt=3)).type == EFFECT_UNKNOWN_ERROR
    assert bank.payments == ["ada"]


async def test_a_write_with_an_idempotency_key_is_called_again_with_the_same_key(
    bank: Bank, memory: MemoryLedger
) -> None:
    await died_after_paying(bank, bank.pay_by_key, memory)
    memory.advance(LIMIT)
    assert (await carried_out(bank.pay_by_key, memory, attempt=2)).ok
    assert bank.keys == [invocation_of(bank.pay_by_key).ledger_key] * 2
    record = await record_of(memory, bank.pay_by_key)
    assert (record.state, record.attempts) == ("done", 2)


async def test_a_key_that_the_outside_system_may_have_forgotten_is_asked_about(
    bank: Bank, memory: MemoryLedger
) -> None:
    await died_after_paying(bank, bank.pay_by_key, memory)
    memory.advance(bank.pay_by_key.contract.options.key_lifetime)
    assert (await failure(bank.pay_by_key, memory, attempt=2)).type == EFFECT_UNKNOWN_ERROR
    assert bank.payments == ["ada"]


async def test_a_probe_that_finds_the_effect_gives_its_result_and_the_tool_is_not_called(
    bank: Bank, memory: MemoryLedger
) -> None:
    await died_after_paying(bank, bank.pay_and_find, memory)
    memory.advance(LIMIT + DELAY)
    result = await carried_out(bank.pay_and_find, memory, attempt=2)
    assert result.output == {"number": 1, "to": "ada"}
    assert bank.payments == ["ada"]
    record = await record_of(memory, bank.pay_and_find)
    assert (record.state, record.attempts) == ("done", 1)


async def test_a_probe_that_finds_nothing_lets_the_tool_be_called(bank: Bank, memory: MemoryLedger) -> None:
    bank.refusal = ConnectionError("cut")
    await failure(bank.pay_and_find, memory)
    bank.refusal = None
    memory.advance(DELAY)
    assert (await carried_out(bank.pay_and_find, memory, attempt=2)).ok
    assert (bank.probed, bank.payments) == (1, ["ada"])


async def test_a_probe_is_not_believed_before_a_late_effect_can_have_come(
    bank: Bank, memory: MemoryLedger
) -> None:
    bank.refusal = ConnectionError("cut")
    error = await failure(bank.pay_and_find, memory)
    assert error.next_retry_delay == DELAY
    memory.advance(DELAY - timedelta(seconds=1))
    assert (await failure(bank.pay_and_find, memory, attempt=2)).type == "EffectBusy"
    assert bank.probed == 0


async def test_a_probe_that_can_not_be_asked_is_tried_again(bank: Bank, memory: MemoryLedger) -> None:
    await died_after_paying(bank, bank.pay_and_find, memory)
    memory.advance(LIMIT + DELAY)
    bank.probe_error = ConnectionError("the bank is closed")
    assert not (await failure(bank.pay_and_find, memory, attempt=2)).non_retryable
    bank.probe_error = None
    assert (await carried_out(bank.pay_and_find, memory, attempt=3)).ok
    assert bank.payments == ["ada"]


async def test_a_probe_that_can_not_tell_leaves_it_to_a_person(bank: Bank, memory: MemoryLedger) -> None:
    await died_after_paying(bank, bank.pay_and_find, memory)
    memory.advance(LIMIT + DELAY)
    bank.probe_error = EffectUnknownError("two payments")
    error = await failure(bank.pay_and_find, memory, attempt=2)
    assert (error.type, error.non_retryable) == (EFFECT_UNKNOWN_ERROR, True)
    assert "two payments" in (await record_of(memory, bank.pay_and_find)).detail


async def test_a_refusal_after_an_attempt_in_doubt_is_no_proof_that_it_did_not_happen(
    bank: Bank, memory: MemoryLedger
) -> None:
    await died_after_paying(bank, bank.pay_by_key, memory)
    memory.advance(LIMIT)
    bank.refusal = ToolError("already paid")
    error = await failure(bank.pay_by_key, memory, attempt=2)
    assert error.type == EFFECT_UNKNOWN_ERROR
    assert "already paid" in error.message


async def test_an_attempt_that_was_thought_dead_records_what_it_did_all_the_same(
    bank: Bank, memory: MemoryLedger
) -> None:
    bank.hangs = True
    under_way = asyncio.ensure_future(carried_out(bank.pay, memory))
    await bank.paid.wait()
    memory.advance(LIMIT + DELAY)
    assert (await failure(bank.pay, memory, attempt=2)).type == EFFECT_UNKNOWN_ERROR
    bank.goes_on.set()
    assert (await under_way).ok
    assert (await record_of(memory, bank.pay)).state == "done"
    assert bank.payments == ["ada"]


# ---------------------------------------------------------------- an attempt that fails


@pytest.mark.parametrize(
    "error",
    [ConnectionError("lost on the way back"), KeyError("paid"), TimeoutError(), ApplicationError("x")],
)
async def test_a_write_that_fails_in_any_way_of_its_own_is_in_doubt(
    bank: Bank, memory: MemoryLedger, error: Exception
) -> None:
    bank.error = error
    failed = await failure(bank.pay, memory)
    assert (failed.type, failed.non_retryable) == (EFFECT_UNKNOWN_ERROR, True)
    assert type(error).__name__ in failed.message
    assert (await record_of(memory, bank.pay)).state == "unknown"
    assert bank.payments == ["ada"]


async def test_an_answer_that_the_tool_can_not_read_leaves_its_write_in_doubt(
    bank: Bank, memory: MemoryLedger
) -> None:
    class Answer(BaseModel):
        number: int

    with pytest.raises(ValueError, match="number") as unreadable:
        Answer.model_validate_json('{"number": "none"}')
    bank.error = unreadable.value
    # Called the arguments' fault, it would be corrected and paid twice.
    assert (await failure(bank.pay, memory)).type == EFFECT_UNKNOWN_ERROR
    assert bank.payments == ["ada"]


@pytest.mark.parametrize("name", WRITES)
async def test_a_write_that_was_cancelled_midway_is_left_in_doubt(
    bank: Bank, memory: MemoryLedger, name: str
) -> None:
    pay = getattr(bank, name)
    bank.hangs = True
    run, surroundings = (
        tool_activity(pay, LedgerCalls(memory, TEST_SEAL_KEYS), MemoryBlobStore()),
        environment(),
    )
    under_way = asyncio.ensure_future(surroundings.run(run, invocation_of(pay)))
    await bank.paid.wait()
    surroundings.cancel()
    with pytest.raises(asyncio.CancelledError):
        await under_way
    record = await record_of(memory, pay)
    assert (record.state, record.detail) == ("intended", "attempt 1: it was cancelled while the tool ran")
    assert record.lease == (timedelta(0) if name == "pay_by_key" else DELAY)


async def test_a_tool_that_finished_in_spite_of_a_cancellation_is_recorded_as_done(
    memory: MemoryLedger,
) -> None:
    began = asyncio.Event()

    @tool(effect="write")
    async def pay(to: str) -> str:
        """Pay, whatever happens."""
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "paid"
        return "never"

    surroundings = environment()
    run = tool_activity(pay, LedgerCalls(memory, TEST_SEAL_KEYS), MemoryBlobStore())
    under_way = asyncio.ensure_future(surroundings.run(run, invocation_of(pay)))
    await began.wait()
    surroundings.cancel()
    assert (await under_way).output == "paid"
    assert (await record_of(memory, pay)).state == "done"


async def test_a_tool_that_outlasts_its_lease_is_stopped(bank: Bank, memory: MemoryLedger) -> None:
    bank.hangs = True
    surroundings = environment()
    surroundings.info = replace(surroundings.info, start_to_close_timeout=timedelta(milliseconds=50))
    run = tool_activity(bank.pay, LedgerCalls(memory, TEST_SEAL_KEYS), MemoryBlobStore())
    with pytest.raises(ApplicationError) as failed:
        await surroundings.run(run, invocation_of(bank.pay))
    assert failed.value.type == EFFECT_UNKNOWN_ERROR
    assert "TimeoutError" in failed.value.message


async def test_a_ledger_that_answers_when_the_lease_is_over_keeps_the_tool_from_being_called(
    bank: Bank, memory: MemoryLedger
) -> None:
    insert = memory.insert

    async def slowly(record: EffectRecord) -> bool:
        taken = await insert(record)
        await asyncio.sleep(0.1)
        return taken

    memory.insert = slowly  # type: ignore[method-assign]
    surroundings = environment()
    surroundings.info = replace(surroundings.info, start_to_close_timeout=timedelta(milliseconds=50))
    run = tool_activity(bank.pay, LedgerCalls(memory, TEST_SEAL_KEYS), MemoryBlobStore())
    with pytest.raises(ApplicationError, match="the ledger took longer") as failed:
        await surroundings.run(run, invocation_of(bank.pay))
    assert failed.value.type == "ToolUnavailableError"
    assert bank.attempts == []


async def test_a_tool_that_may_take_long_renews_a_short_lease(
    bank: Bank, memory: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hold, "MAX_LEASE", timedelta(milliseconds=300))
    bank.hangs = True
    under_way = asyncio.ensure_future(carried_out(bank.pay, memory))
    key = invocation_of(bank.pay).ledger_key
    async with asyncio.timeout(20):
        # The ledger tells nobody of a renewal.
        while (found := await memory.get(key)) is None or found.version < 5:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    bank.goes_on.set()
    assert (await under_way).ok
    assert (await record_of(memory, bank.pay)).state == "done"


@pytest.mark.parametrize("by_a_worker", [True, False], ids=["to another attempt", "to nobody of the fleet"])
async def test_an_attempt_that_lost_its_record_while_it_renewed_is_stopped(
    bank: Bank, memory: MemoryLedger, monkeypatch: pytest.MonkeyPatch, by_a_worker: bool
) -> None:
    monkeypatch.setattr(hold, "MAX_LEASE", timedelta(milliseconds=300))
    bank.hangs = True
    under_way = asyncio.ensure_future(failure(bank.pay, memory))
    await bank.paid.wait()
    found = await memory.get(invocation_of(bank.pay).ledger_key)
    assert found is not None
    taken = found.record.model_copy(update={"owner": "another"})
    if by_a_worker:
        taken = sealed(taken, found.version + 1, TEST_SEAL_KEYS)
    assert await memory.replace(taken, version=found.version)
    assert (await under_way).type == EFFECT_UNKNOWN_ERROR
    assert (await record_of(memory, bank.pay)).owner == "another"


# ---------------------------------------------------------------- certainly not


@pytest.mark.parametrize("name", WRITES)
async def test_a_tool_that_could_not_start_withdraws_its_intent_and_may_be_tried_again(
    bank: Bank, memory: MemoryLedger, name: str
) -> None:
    pay = getattr(bank, name)
    bank.refusal = ToolUnavailableError("connection refused")
    error = await failure(pay, memory)
    assert (error.type, error.non_retryable) == ("ToolUnavailableError", False)
    assert (await record_of(memory, pay)).attempts == 0
    bank.refusal = None
    assert (await carried_out(pay, memory, attempt=2)).ok
    assert bank.payments == ["ada"]
    record = await record_of(memory, pay)
    assert (record.state, record.attempts, bank.probed) == ("done", 1, 0)


async def test_an_attempt_that_was_thought_dead_changes_no_later_ones_record(
    bank: Bank, memory: MemoryLedger
) -> None:
    bank.hangs = True
    under_way = asyncio.ensure_future(failure(bank.pay_and_find, memory))
    await bank.paid.wait()
    bank.keys.clear()  # the bank has lost it: the probe says no
    memory.advance(LIMIT + DELAY)
    bank.refusal = ToolUnavailableError("connection refused")
    await failure(bank.pay_and_find, memory, attempt=2)
    before = await record_of(memory, bank.pay_and_find)
    bank.error = ConnectionError("cut")
    bank.goes_on.set()
    await under_way
    assert await record_of(memory, bank.pay_and_find) == before


async def test_a_second_attempt_that_could_not_start_does_not_withdraw_the_first_ones_intent(
    bank: Bank, memory: MemoryLedger
) -> None:
    await died_after_paying(bank, bank.pay_by_key, memory)
    memory.advance(LIMIT)
    bank.refusal = ToolUnavailableError("connection refused")
    await failure(bank.pay_by_key, memory, attempt=2)
    assert (await record_of(memory, bank.pay_by_key)).state == "intended"


async def test_a_tools_own_refusal_is_a_result_and_stays_one(bank: Bank, memory: MemoryLedger) -> None:
    bank.refusal = ToolError("the account is closed")
    result = await carried_out(bank.pay, memory)
    assert result.error is not None
    assert (result.error.kind, result.error.message) == ("failed", "the account is closed")
    assert (await record_of(memory, bank.pay)).state == "failed"
    bank.refusal = None
    again = await carried_out(bank.pay, memory, attempt=2)
    assert (again.error, again.replayed) == (result.error, True)
    assert bank.payments == []


async def test_arguments_that_the_functions_types_refuse_are_a_result(
    bank: Bank, memory: MemoryLedger
) -> None:
    result = await carried_out(bank.pay, memory, invocation_of(bank.pay, {"to": 7}))
    assert result.error is not None
    assert result.error.kind == "invalid_arguments"
    assert bank.attempts == []


# ---------------------------------------------------------------- what is recorded can't be used


@pytest.mark.parametrize(
    ("stored", "why"),
    [
        ('{"output": {"number": "one", "to": "ada"}}', "breaks the contract"),
        ("half a resul", "can't be read"),
        (None, "can't be read"),
    ],
)
async def test_a_recorded_result_that_no_longer_fits_is_told_and_the_tool_is_not_called_again(
    bank: Bank, memory: MemoryLedger, stored: str | None, why: str
) -> None:
    await carried_out(bank.pay, memory)
    found = await memory.get(invocation_of(bank.pay).ledger_key)
    assert found is not None
    changed = found.record.model_copy(update={"result": stored})
    await memory.replace(sealed(changed, found.version + 1, TEST_SEAL_KEYS), version=found.version)
    result = await carried_out(bank.pay, memory, attempt=2)
    assert result.error is not None
    assert result.error.kind == "invalid_output"
    assert why in result.error.message
    assert bank.payments == ["ada"]


# ---------------------------------------------------------------- the ledger fails


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("taken", [True, False])
@pytest.mark.parametrize("operation", ["insert", "replace"])
async def test_a_short_outage_of_the_ledger_goes_unnoticed(
    bank: Bank, memory: MemoryLedger, operation: str, taken: bool
) -> None:
    ledger: Any = Unreliable(memory, operation, 2, taken=taken)
    assert (await carried_out(bank.pay, ledger)).ok
    assert bank.payments == ["ada"]
    assert (await record_of(memory, bank.pay)).state == "done"


@pytest.mark.usefixtures("no_pauses")
async def test_a_ledger_that_can_not_take_the_intent_stops_the_write(
    bank: Bank, memory: MemoryLedger
) -> None:
    ledger: Any = Unreliable(memory, "insert", 100, taken=False)
    error = await failure(bank.pay, ledger)
    # Not by Temporal, whose next attempt could not tell that this one did nothing; the run asks anew.
    assert (error.type, error.non_retryable, error.details[0]["not_begun"]) == ("LedgerError", True, True)
    assert bank.attempts == []


@pytest.mark.usefixtures("no_pauses")
async def test_a_ledger_that_can_not_be_reached_stops_no_read(bank: Bank, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    broken = SQLiteLedger(tmp_path / "file" / "ledger.sqlite")
    assert (await failure(bank.pay, broken)).type == "LedgerError"
    assert (await carried_out(bank.statement, broken)).ok


@pytest.mark.usefixtures("no_pauses")
async def test_a_result_that_can_not_be_recorded_is_told_and_stays_in_doubt_in_the_ledger(
    bank: Bank, memory: MemoryLedger
) -> None:
    ledger: Any = Unreliable(memory, "replace", 100, taken=False)
    assert (await carried_out(bank.pay, ledger)).ok
    # Should Temporal never have heard of it, nobody else calls the tool.
    memory.advance(LIMIT + DELAY)
    assert (await failure(bank.pay, memory, attempt=2)).type == EFFECT_UNKNOWN_ERROR
    assert bank.payments == ["ada"]


# ---------------------------------------------------------------- definitions


def test_a_tool_that_says_probe_and_has_none_is_refused(memory: MemoryLedger) -> None:
    @tool(effect="write", recovery="probe")
    async def pay(to: str) -> str:
        """Pay."""
        return to

    with pytest.raises(ConfigurationError, match=r"@pay\.probe"):
        tool_activity(pay, LedgerCalls(memory, TEST_SEAL_KEYS), MemoryBlobStore())


def test_a_probe_of_a_tool_that_says_otherwise_is_refused() -> None:
    @tool(effect="write")
    async def pay(to: str) -> str:
        """Pay."""
        return to

    with pytest.raises(ConfigurationError, match="without recovery"):

        @pay.probe
        async def look(to: str) -> Happened[str] | DidNotHappen:
            return DidNotHappen()


def test_a_probe_with_other_parameters_is_refused() -> None:
    @tool(effect="write", recovery="probe")
    async def pay(to: str) -> str:
        """Pay."""
        return to

    with pytest.raises(ConfigurationError, match="same parameters"):

        @pay.probe  # type: ignore[arg-type]
        async def look(whom: str) -> Happened[str] | DidNotHappen:
            return DidNotHappen()


async def test_a_tool_that_this_worker_lacks_is_named(bank: Bank, memory: MemoryLedger) -> None:
    inquiry = EffectInquiry(tool="wire", invocation=invocation_of(bank.pay))
    with pytest.raises(ApplicationError, match="wire") as refused:
        await environment().run(
            EffectActivities([bank.pay], LedgerCalls(memory, TEST_SEAL_KEYS)).reconcile, inquiry
        )
    # Another worker of the queue may have it.
    assert not refused.value.non_retryable


def test_the_delay_can_not_be_negative() -> None:
    with pytest.raises(ValueError, match="max_effect_delay"):
        ToolOptions(max_effect_delay=timedelta(seconds=-1))
