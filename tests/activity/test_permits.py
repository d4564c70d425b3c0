"""A write that is forbidden by the time it would be made: no attempt calls the tool, and the ledger says so."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from temporalio.exceptions import ApplicationError

from agentflow.activity.execution import tool_activity
from agentflow.activity.ledger_calls import LedgerCalls
from agentflow.adapters.memory_blobs import MemoryBlobStore
from agentflow.contracts.names import EFFECT_UNKNOWN_ERROR, FORBIDDEN_NOW_ERROR
from agentflow.contracts.tools import ToolInvocation
from agentflow.errors import ForbiddenNowError, LedgerError
from agentflow.testing import MemoryLedger
from agentflow.testing.settings import TEST_SEAL_KEYS
from tests.activity.attempts import WRITES, asked, died_after_paying, record_of
from tests.activity.outside import (
    DELAY,
    LIMIT,
    Bank,
    carried_out,
    environment,
    failure,
    grounds_of,
    invocation_of,
)

WHY = "writes are frozen for fleet"


async def forbids(_: ToolInvocation) -> None:
    raise ForbiddenNowError(WHY)


@pytest.mark.parametrize("name", WRITES)
async def test_the_first_attempt_of_what_is_forbidden_does_nothing(
    bank: Bank, memory: MemoryLedger, name: str
) -> None:
    pay = getattr(bank, name)
    error = await failure(pay, memory, permits=forbids)
    assert (error.type, error.non_retryable, error.message) == (FORBIDDEN_NOW_ERROR, True, WHY)
    assert bank.attempts == []
    record = await record_of(memory, pay)
    assert (record.state, record.attempts, record.lease) == ("intended", 0, timedelta(0))


@pytest.mark.parametrize("name", WRITES)
async def test_what_was_forbidden_is_known_not_to_have_happened_and_is_not_made_later(
    bank: Bank, memory: MemoryLedger, name: str
) -> None:
    pay = getattr(bank, name)
    await failure(pay, memory, permits=forbids)
    report = await asked(pay, memory)
    assert (report.state, report.detail) == ("failed", "no attempt of it began")
    assert (await carried_out(pay, memory, attempt=2)).error is not None
    assert bank.payments == []


async def test_what_was_forbidden_and_is_not_any_more_is_made(bank: Bank, memory: MemoryLedger) -> None:
    await failure(bank.pay, memory, permits=forbids)
    assert (await carried_out(bank.pay, memory, attempt=2)).ok
    assert bank.payments == ["ada"]


async def test_a_retry_of_what_may_have_happened_is_not_made_and_stays_in_doubt(
    bank: Bank, memory: MemoryLedger
) -> None:
    await died_after_paying(bank, bank.pay_by_key, memory)
    memory.advance(LIMIT)
    error = await failure(bank.pay_by_key, memory, attempt=2, permits=forbids)
    assert error.type == FORBIDDEN_NOW_ERROR
    report = await asked(bank.pay_by_key, memory)
    assert (report.state, bank.payments) == ("unknown", ["ada"])
    assert WHY in report.detail


async def test_a_retry_after_a_failed_attempt_is_not_made(bank: Bank, memory: MemoryLedger) -> None:
    bank.refusal = ConnectionError("cut")
    assert (await failure(bank.pay_by_key, memory)).message == "ConnectionError: cut"
    bank.refusal = None
    error = await failure(bank.pay_by_key, memory, attempt=2, permits=forbids)
    assert error.type == FORBIDDEN_NOW_ERROR
    assert bank.payments == []
    detail = (await record_of(memory, bank.pay_by_key)).detail
    assert "attempt 1: ConnectionError: cut" in detail
    assert f"attempt 2: it did nothing (ForbiddenNowError: {WHY})" in detail


async def test_a_retry_whose_effect_a_probe_finds_is_told_though_it_is_forbidden(
    bank: Bank, memory: MemoryLedger
) -> None:
    await died_after_paying(bank, bank.pay_and_find, memory)
    memory.advance(LIMIT + DELAY)
    assert (await carried_out(bank.pay_and_find, memory, attempt=2, permits=forbids)).ok
    assert bank.payments == ["ada"]


async def test_a_retry_whose_effect_a_probe_does_not_find_is_not_made(
    bank: Bank, memory: MemoryLedger
) -> None:
    bank.refusal = ConnectionError("cut")
    await failure(bank.pay_and_find, memory)
    bank.refusal = None
    memory.advance(DELAY)
    error = await failure(bank.pay_and_find, memory, attempt=2, permits=forbids)
    assert (error.type, bank.probed, bank.payments) == (FORBIDDEN_NOW_ERROR, 1, [])
    assert (await asked(bank.pay_and_find, memory)).state == "failed"


async def test_a_retry_that_a_person_must_be_asked_of_is_asked_of_as_before(
    bank: Bank, memory: MemoryLedger
) -> None:
    await died_after_paying(bank, bank.pay, memory)
    memory.advance(LIMIT + DELAY)
    assert (await failure(bank.pay, memory, attempt=2, permits=forbids)).type == EFFECT_UNKNOWN_ERROR


async def test_an_end_on_record_is_told_though_it_is_forbidden(bank: Bank, memory: MemoryLedger) -> None:
    await carried_out(bank.pay, memory)
    assert (await carried_out(bank.pay, memory, attempt=2, permits=forbids)).replayed


async def test_the_intent_is_on_record_before_it_is_asked_whether_it_is_permitted(
    bank: Bank, memory: MemoryLedger
) -> None:
    seen: list[tuple[str, int, int]] = []

    async def looks(_: ToolInvocation) -> None:
        record = await record_of(memory, bank.pay)
        seen.append((record.state, record.attempts, len(bank.attempts)))

    await carried_out(bank.pay, memory, permits=looks)
    assert seen == [("intended", 1, 0)]


async def _can_not_say(_: ToolInvocation) -> None:
    raise LedgerError("the ledger can't be reached")


async def _is_broken(_: ToolInvocation) -> None:
    raise KeyError("tenant")


async def _never_answers(_: ToolInvocation) -> None:
    await asyncio.sleep(3600)


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("permits", [_can_not_say, _is_broken, _never_answers])
async def test_who_can_not_say_whether_it_is_permitted_has_not_said_yes(
    bank: Bank, memory: MemoryLedger, name: str, permits: Callable[[ToolInvocation], Awaitable[None]]
) -> None:
    pay = getattr(bank, name)
    run = tool_activity(pay, LedgerCalls(memory, TEST_SEAL_KEYS), MemoryBlobStore(), permits=permits)
    soon = environment()
    soon.info = replace(soon.info, start_to_close_timeout=timedelta(milliseconds=50))
    with pytest.raises(ApplicationError) as refused:
        await soon.run(run, invocation_of(pay))
    assert not refused.value.non_retryable
    assert bank.attempts == []
    assert (await record_of(memory, pay)).attempts == 0
    assert (await carried_out(pay, memory, attempt=2)).ok


async def test_an_attempt_that_is_cancelled_while_it_asks_did_nothing(
    bank: Bank, memory: MemoryLedger
) -> None:
    under_way = asyncio.ensure_future(carried_out(bank.pay, memory, permits=_never_answers))
    await asyncio.sleep(0.05)
    under_way.cancel()
    await asyncio.gather(under_way, return_exceptions=True)
    assert (await asked(bank.pay, memory)).state == "failed"


async def test_a_tool_that_says_of_itself_that_it_is_forbidden_may_have_done_it(
    bank: Bank, memory: MemoryLedger
) -> None:
    bank.error = ForbiddenNowError("after the payment")
    assert (await failure(bank.pay, memory)).type == EFFECT_UNKNOWN_ERROR
    assert (await record_of(memory, bank.pay)).state == "unknown"


async def test_a_read_asks_nobody(bank: Bank) -> None:
    assert (await carried_out(bank.statement, None, permits=forbids)).ok


async def test_a_tool_that_its_server_claims_to_only_read_asks_as_a_write_does(bank: Bank) -> None:
    look = bank.statement
    look.contract = look.contract.model_copy(update={"effect_is_claimed": True})
    assert (await failure(look, None, permits=forbids)).type == FORBIDDEN_NOW_ERROR
    assert bank.attempts == []
    assert (await carried_out(look, None)).ok


async def test_whose_write_it_is_is_on_record(bank: Bank, memory: MemoryLedger) -> None:
    grounds = grounds_of("acme")
    await carried_out(bank.pay, memory, invocation_of(bank.pay, grounds=grounds))
    record = await record_of(memory, bank.pay)
    assert (record.agent, record.tenant) == ("Payer", "acme")
