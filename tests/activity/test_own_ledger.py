"""An attempt acts on the ledger of its run only, and asks where that may have lost what it knew."""

from datetime import UTC, datetime, timedelta

import pytest

from agentflow.activity.ledger_calls import LedgerCalls
from agentflow.activity.reconcile import EffectActivities
from agentflow.activity.tool import Tool
from agentflow.contracts.effects import EffectInquiry
from agentflow.contracts.ledger import Adoption
from agentflow.contracts.names import EFFECT_BUSY_ERROR, EFFECT_UNKNOWN_ERROR
from agentflow.contracts.tools import ToolInvocation
from agentflow.contracts.wire import sha256_of
from agentflow.contracts.work import Work
from agentflow.core.effects import NEVER_BEGAN
from agentflow.core.record_seals import sealed
from agentflow.testing import MemoryLedger
from agentflow.testing.settings import TEST_SEAL_KEYS
from tests.activity.attempts import WRITES, asked, died_after_paying, record_of
from tests.activity.outside import CHAIN, DELAY, LIMIT, Bank, carried_out, environment, failure, invocation_of

LEASE = LIMIT + DELAY
STARTED = datetime(1970, 1, 1, tzinfo=UTC)
"""When the activities of ``ActivityEnvironment`` say that they began."""


async def known_by(tool: Tool, ledger: MemoryLedger, **known: object) -> ToolInvocation:  # type: ignore[type-arg]
    """A call of a run that is pinned to a ledger."""
    work = Work(id=sha256_of("pay ada"), chain=CHAIN, ledger=(await ledger.identity()).id)
    return invocation_of(tool).model_copy(update={"work": work.model_copy(update=known)})


async def test_on_its_own_ledger_a_run_pays(bank: Bank, memory: MemoryLedger) -> None:
    assert (await carried_out(bank.pay, memory, await known_by(bank.pay, memory))).ok


@pytest.mark.parametrize("name", WRITES)
async def test_on_another_ledger_nothing_is_paid_and_it_is_said_which_one_is_needed(
    bank: Bank, memory: MemoryLedger, name: str
) -> None:
    tool, own = getattr(bank, name), MemoryLedger()
    error = await failure(tool, memory, await known_by(tool, own))
    assert (error.type, error.details[0]["not_begun"]) == ("OtherLedgerError", True)
    assert f"recorded in {(await own.identity()).id}: give this worker that one" in error.message
    assert bank.attempts == []


@pytest.mark.parametrize("name", WRITES)
async def test_a_ledger_that_lacks_the_runs_last_write_is_refused(
    bank: Bank, memory: MemoryLedger, name: str
) -> None:
    tool = getattr(bank, name)
    error = await failure(tool, memory, await known_by(tool, memory, after=sha256_of("gone")))
    assert error.type == "OtherLedgerError"
    assert "was emptied, or is an older copy" in error.message
    assert bank.attempts == []


async def test_a_ledger_that_has_the_runs_last_write_is_its_own(bank: Bank, memory: MemoryLedger) -> None:
    await carried_out(bank.pay, memory)
    key = invocation_of(bank.pay).ledger_key
    assert (await carried_out(bank.pay, memory, await known_by(bank.pay, memory, after=key))).replayed


async def test_a_second_attempt_that_finds_no_record_asks(bank: Bank, memory: MemoryLedger) -> None:
    await died_after_paying(bank, bank.pay, memory)
    emptied = MemoryLedger()
    assert (await failure(bank.pay, emptied, attempt=2)).type == EFFECT_BUSY_ERROR
    emptied.advance(LEASE)
    error = await failure(bank.pay, emptied)
    assert error.type == EFFECT_UNKNOWN_ERROR
    assert "an attempt of it has run before" in error.message
    assert bank.payments == ["ada"]


async def test_a_second_attempt_that_finds_no_record_repeats_with_a_key(
    bank: Bank, memory: MemoryLedger
) -> None:
    assert (await failure(bank.pay_by_key, memory, attempt=2)).type == EFFECT_BUSY_ERROR
    memory.advance(LEASE)
    assert (await carried_out(bank.pay_by_key, memory)).ok
    assert (await record_of(memory, bank.pay_by_key)).attempts == 2


async def test_a_key_that_may_be_forgotten_by_now_repeats_nothing(bank: Bank, memory: MemoryLedger) -> None:
    lifetime = bank.pay_by_key.contract.options.key_lifetime
    invocation = await known_by(bank.pay_by_key, memory, begun=STARTED - lifetime)
    assert (await failure(bank.pay_by_key, memory, invocation)).type == EFFECT_BUSY_ERROR
    memory.advance(LEASE)
    assert (await failure(bank.pay_by_key, memory, invocation)).type == EFFECT_UNKNOWN_ERROR
    assert bank.attempts == []


@pytest.mark.parametrize("was_paid", [True, False])
async def test_a_second_attempt_that_finds_no_record_asks_the_outside_system_where_it_can(
    bank: Bank, memory: MemoryLedger, was_paid: bool
) -> None:
    if was_paid:
        await died_after_paying(bank, bank.pay_and_find, memory)
    emptied = MemoryLedger()
    assert (await failure(bank.pay_and_find, emptied, attempt=2)).type == EFFECT_BUSY_ERROR
    emptied.advance(LEASE)
    assert (await carried_out(bank.pay_and_find, emptied)).ok
    assert bank.payments == ["ada"]


@pytest.mark.parametrize("name", WRITES)
async def test_reconciling_a_call_that_has_begun_and_left_no_record_says_that_it_is_unknown(
    bank: Bank, memory: MemoryLedger, name: str
) -> None:
    tool = getattr(bank, name)
    invocation = await known_by(tool, memory, begun=STARTED - timedelta(seconds=5))
    assert (await failed_to_ask(tool, memory, invocation)) == EFFECT_BUSY_ERROR
    memory.advance(LEASE)
    report = await asked(tool, memory, invocation=invocation)
    # Only an outside system that can be asked knows.
    assert report.state == ("failed" if name == "pay_and_find" else "unknown")


async def failed_to_ask(tool: Tool, ledger: MemoryLedger, invocation: ToolInvocation) -> str:  # type: ignore[type-arg]
    with pytest.raises(Exception) as failed:  # noqa: PT011
        await asked(tool, ledger, invocation=invocation)
    return failed.value.type  # type: ignore[attr-defined]


@pytest.mark.parametrize("verdict", [None, "happened", "did_not_happen"])
async def test_nobody_says_anything_of_a_write_on_another_ledger(
    bank: Bank, memory: MemoryLedger, verdict: str | None
) -> None:
    invocation = await known_by(bank.pay, MemoryLedger())
    with pytest.raises(Exception, match="give this worker that one"):
        await asked(bank.pay, memory, verdict, invocation=invocation)  # type: ignore[arg-type]
    assert await memory.get(invocation.ledger_key) is None


@pytest.mark.parametrize("name", ["pay", "pay_by_key"])
async def test_on_a_ledger_that_stands_for_the_runs_a_call_without_a_record_is_a_doubt(
    bank: Bank, memory: MemoryLedger, name: str
) -> None:
    tool = getattr(bank, name)
    invocation = await known_by(tool, memory)
    await memory.adopt(Adoption(by="olga", lost="all since noon"))
    error = await failure(tool, memory, invocation)
    assert error.type == EFFECT_UNKNOWN_ERROR
    assert "of which olga says that there may be missing: all since noon" in error.message
    assert bank.attempts == []


async def told_of(ledger: MemoryLedger, tool: Tool, invocation: ToolInvocation) -> str:  # type: ignore[type-arg]
    """What a person is told of a call that has no record in a ledger."""
    error = await failure(tool, ledger, invocation)
    assert error.type == EFFECT_UNKNOWN_ERROR
    return error.message


async def test_people_hear_of_each_loss_since_the_ledger_stands_for_the_runs(
    bank: Bank, memory: MemoryLedger
) -> None:
    await memory.adopt(Adoption(by="olga", lost="all before the run"))
    invocation = await known_by(bank.pay, memory)
    needed = invocation.work and invocation.work.ledger
    await memory.adopt(Adoption(by="olga", lost="all since noon"))
    between = (await memory.identity()).id
    await memory.adopt(Adoption(by="otto", lost="all since two"))
    told = await told_of(memory, bank.pay, invocation)
    assert f"for {needed}, of which olga says that there may be missing: all since noon" in told
    assert f"for {between}, of which otto says that there may be missing: all since two" in told
    assert "all before the run" not in told


async def test_people_hear_of_what_a_ledger_lost_that_stood_for_the_runs_before(
    bank: Bank, memory: MemoryLedger
) -> None:
    """The run's ledger A is lost, B stood for it and is lost too, and an operator names B first."""
    invocation = await known_by(bank.pay, MemoryLedger())
    needed = invocation.work and invocation.work.ledger
    await memory.adopt(Adoption(by="olga", lost="all of the second", instead_of="b"))
    await memory.adopt(Adoption(by="olga", lost="all of the first", instead_of=needed))
    told = await told_of(memory, bank.pay, invocation)
    assert "for b, of which olga says that there may be missing: all of the second" in told
    assert f"for {needed}, of which olga says that there may be missing: all of the first" in told


async def test_people_hear_of_both_losses_of_one_ledger(bank: Bank, memory: MemoryLedger) -> None:
    invocation = await known_by(bank.pay, MemoryLedger())
    needed = invocation.work and invocation.work.ledger
    for lost in ("all since noon", "all since ten"):
        await memory.adopt(Adoption(by="olga", lost=lost, instead_of=needed))
    told = await told_of(memory, bank.pay, invocation)
    assert "all since noon" in told
    assert "all since ten" in told


async def test_on_a_ledger_that_stands_for_the_runs_a_call_with_a_record_is_known(
    bank: Bank, memory: MemoryLedger
) -> None:
    invocation = await known_by(bank.pay, memory)
    await carried_out(bank.pay, memory, invocation)
    await memory.adopt(Adoption(by="olga", lost="all since noon"))
    assert (await carried_out(bank.pay, memory, invocation)).replayed
    assert bank.payments == ["ada"]


async def test_on_a_ledger_that_stands_for_the_runs_the_outside_system_is_asked_where_it_can(
    bank: Bank, memory: MemoryLedger
) -> None:
    invocation = await known_by(bank.pay_and_find, memory)
    await memory.adopt(Adoption(by="olga", lost="all since noon"))
    assert (await failure(bank.pay_and_find, memory, invocation)).type == EFFECT_BUSY_ERROR
    memory.advance(LEASE)
    assert (await carried_out(bank.pay_and_find, memory, invocation)).ok
    assert (bank.probed, bank.payments) == (1, ["ada"])


async def test_a_repeat_looks_for_what_an_earlier_run_did_as_the_attempt_before_it_may_not_have(
    bank: Bank, memory: MemoryLedger
) -> None:
    invocation = await known_by(bank.pay_by_key, memory)
    work = invocation.work
    assert work is not None
    await carried_out(bank.pay_by_key, memory, invocation)
    earlier = (await record_of(memory, bank.pay_by_key)).model_copy(update={"run_id": "of another run"})
    assert await memory.replace(sealed(earlier, 3, TEST_SEAL_KEYS), version=2)
    # The next run of the workflow id, whose first attempt died between its intent and its look.
    run = invocation_of(bank.pay_by_key, index=2).model_copy(update={"work": work})
    abandoned = earlier.model_copy(
        update={"key": run.ledger_key, "state": "intended", "result": None, "owner": "dead", "lease": LEASE}
    )
    assert await memory.insert(sealed(abandoned, 1, TEST_SEAL_KEYS))
    memory.advance(LEASE)
    error = await failure(bank.pay_by_key, memory, run)
    assert error.type == EFFECT_UNKNOWN_ERROR
    assert "did the very same pay_by_key" in error.message
    assert bank.payments == ["ada"]


async def test_a_last_record_that_no_worker_wrote_does_not_show_that_the_ledger_is_whole(
    bank: Bank, memory: MemoryLedger
) -> None:
    first = invocation_of(bank.pay)
    await carried_out(bank.pay, memory, first)
    found = await memory.get(first.ledger_key)
    assert found is not None
    await memory.replace(found.record.model_copy(update={"seal": ""}), version=found.version)
    work = (await known_by(bank.pay, memory, after=first.ledger_key)).work
    second = invocation_of(bank.pay, index=2).model_copy(update={"work": work})
    error = await failure(bank.pay, memory, second)
    assert error.type == EFFECT_UNKNOWN_ERROR
    assert "was not written by a worker of this fleet" in error.message
    assert bank.payments == ["ada"]


async def test_a_call_that_a_reset_took_along_may_have_been_made_before_it(
    bank: Bank, memory: MemoryLedger
) -> None:
    invocation = await known_by(bank.pay, memory)
    assert invocation.work is not None
    work = invocation.work.model_copy(update={"execution": "before the reset"})
    error = await failure(bank.pay, memory, invocation.model_copy(update={"work": work}))
    assert error.type == EFFECT_BUSY_ERROR
    assert bank.payments == []


async def test_the_attempts_of_an_inquiry_are_none_of_the_tools(bank: Bank, memory: MemoryLedger) -> None:
    inquiry = EffectInquiry(tool="pay", invocation=await known_by(bank.pay, memory))
    activities = EffectActivities([bank.pay], LedgerCalls(memory, TEST_SEAL_KEYS))
    report = await environment(attempt=2).run(activities.reconcile, inquiry)
    assert (report.state, report.detail) == ("failed", NEVER_BEGAN)
