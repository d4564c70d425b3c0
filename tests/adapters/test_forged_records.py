"""A record that no worker of the fleet wrote: whoever can write to the ledger makes no write happen or end."""

from datetime import timedelta
from typing import Any

import pytest

from agentflow.contracts.effects import EffectRecord, StoredEffect
from agentflow.contracts.names import EARLIER_EFFECT_ERROR, EFFECT_UNKNOWN_ERROR
from agentflow.contracts.tools import ToolResult
from agentflow.contracts.wire import Sha256, sha256_of
from agentflow.contracts.work import Work
from agentflow.core.effects import in_doubt
from agentflow.core.idempotency import run_root, same_work
from agentflow.core.record_seals import is_sealed, sealed
from agentflow.core.seal import SealKeys
from agentflow.ports.ledger import EffectLedger
from agentflow.testing.settings import TEST_SEAL_KEYS
from tests.activity.attempts import asked, died_after_paying, record_of
from tests.activity.outside import Bank, carried_out, failure, invocation_of
from tests.adapters.ledger_places import Place, PostgresPlace, SQLitePlace, record

PAID = ToolResult(output={"number": 7, "to": "ada"}).model_dump_json()
REFUSED = ToolResult.model_validate({"error": {"kind": "failed", "message": "no"}}).model_dump_json()
NOBODYS = "was not written by a worker of this fleet"

FORGERIES: dict[str, dict[str, Any]] = {
    "done": {"state": "done", "result": PAID},
    "failed": {"state": "failed", "result": REFUSED},
    "given up": {"state": "failed", "result": REFUSED, "detail": "no attempt of it began"},
    "nothing begun": {"attempts": 0, "lease": timedelta(0)},
    "abandoned": {"lease": timedelta(0)},
    "closed": {"state": "done", "result": PAID, "closed_by": "ann"},
}


@pytest.fixture
def bank() -> Bank:
    return Bank()


@pytest.fixture
def ledger(place: Place) -> EffectLedger:
    return place.open()


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> SQLitePlace | PostgresPlace:
    return request.getfixturevalue(request.param)


async def forged(ledger: EffectLedger, key: Sha256, **changes: Any) -> None:
    """Write into a record as somebody does who can write to the ledger and has no keys."""
    found = await stored(ledger, key)
    assert await ledger.replace(found.record.model_copy(update=changes), version=found.version)


async def stored(ledger: EffectLedger, key: Sha256) -> StoredEffect:
    found = await ledger.get(key)
    assert found is not None
    return found


@pytest.mark.parametrize("name", FORGERIES)
async def test_a_forged_record_is_not_acted_on_and_a_person_is_asked(
    bank: Bank, ledger: EffectLedger, name: str
) -> None:
    pay = bank.pay
    await died_after_paying(bank, pay, ledger)
    key = invocation_of(pay).ledger_key
    await forged(ledger, key, **FORGERIES[name])
    error = await failure(pay, ledger, attempt=2)
    assert (error.type, error.non_retryable) == (EFFECT_UNKNOWN_ERROR, True)
    assert NOBODYS in error.message
    assert key in error.message
    assert bank.payments == ["ada"]


async def test_a_record_that_was_put_there_before_the_call_began_is_not_believed(
    bank: Bank, ledger: EffectLedger
) -> None:
    invocation = invocation_of(bank.pay)
    record = EffectRecord(
        key=invocation.ledger_key,
        namespace="default",
        workflow_id="refund-1",
        run_id="run-1",
        tool="pay",
        tool_call_id=invocation.call_id,
        arguments_hash=invocation.decision.arguments_hash,
        state="done",
        owner="mallory",
        lease=timedelta(0),
        result=PAID,
    )
    assert await ledger.insert(record)
    error = await failure(bank.pay, ledger)
    assert (error.type, NOBODYS in error.message) == (EFFECT_UNKNOWN_ERROR, True)
    assert bank.payments == []


async def test_a_run_that_looks_up_a_forged_record_is_told_that_nobody_knows(
    bank: Bank, ledger: EffectLedger
) -> None:
    await died_after_paying(bank, bank.pay, ledger)
    await forged(ledger, invocation_of(bank.pay).ledger_key, **FORGERIES["given up"])
    report = await asked(bank.pay, ledger)
    assert (report.state, report.result) == ("unknown", None)
    assert NOBODYS in report.detail


async def test_a_record_whose_seal_was_taken_off_is_not_believed(bank: Bank, ledger: EffectLedger) -> None:
    await carried_out(bank.pay, ledger)
    await forged(ledger, invocation_of(bank.pay).ledger_key, seal="")
    assert NOBODYS in (await failure(bank.pay, ledger, attempt=2)).message
    assert bank.payments == ["ada"]


async def test_a_record_that_another_fleet_sealed_is_not_believed(bank: Bank, ledger: EffectLedger) -> None:
    await carried_out(bank.pay, ledger)
    found = await stored(ledger, invocation_of(bank.pay).ledger_key)
    for theirs in (SealKeys("test", {"test": b"t" * 32}), SealKeys("theirs", {"theirs": b"t" * 32})):
        now = await stored(ledger, found.record.key)
        assert await ledger.replace(sealed(found.record, now.version + 1, theirs), version=now.version)
        assert NOBODYS in (await failure(bank.pay, ledger, attempt=2)).message


async def test_a_genuine_record_under_another_key_is_not_believed(bank: Bank, ledger: EffectLedger) -> None:
    await carried_out(bank.pay, ledger)
    first = await stored(ledger, invocation_of(bank.pay).ledger_key)
    other = invocation_of(bank.pay, index=2)
    assert await ledger.insert(first.record.model_copy(update={"key": other.ledger_key}))
    assert await ledger.replace(first.record.model_copy(update={"key": other.ledger_key}), version=1)
    assert (await stored(ledger, other.ledger_key)).version == first.version
    assert NOBODYS in (await failure(bank.pay, ledger, other)).message
    assert bank.payments == ["ada"]


async def test_an_older_record_written_over_a_newer_one_is_not_believed(
    bank: Bank, ledger: EffectLedger
) -> None:
    await died_after_paying(bank, bank.pay, ledger)
    key = invocation_of(bank.pay).ledger_key
    before = (await stored(ledger, key)).record
    # The first attempt's intent again, as if that had never been in doubt.
    await asked_and_in_doubt(bank, ledger)
    now = await stored(ledger, key)
    assert await ledger.replace(before, version=now.version)
    assert NOBODYS in (await failure(bank.pay, ledger, attempt=3)).message


async def test_a_persons_word_stands_in_the_place_of_a_forged_record(
    bank: Bank, ledger: EffectLedger
) -> None:
    await died_after_paying(bank, bank.pay, ledger)
    key = invocation_of(bank.pay).ledger_key
    await forged(ledger, key, **FORGERIES["failed"])
    report = await asked(bank.pay, ledger, "happened", {"number": 1, "to": "ada"})
    assert (report.state, report.result and report.result.output) == ("done", {"number": 1, "to": "ada"})
    after = await stored(ledger, key)
    assert (after.record.state, after.record.closed_by, is_sealed(after, TEST_SEAL_KEYS)) == (
        "done",
        "ann",
        True,
    )
    assert (await carried_out(bank.pay, ledger, attempt=2)).replayed
    assert bank.payments == ["ada"]


async def test_a_forged_record_is_kept_as_in_doubt_with_what_it_said(
    bank: Bank, ledger: EffectLedger
) -> None:
    await died_after_paying(bank, bank.pay, ledger)
    await forged(ledger, invocation_of(bank.pay).ledger_key, **FORGERIES["closed"])
    first = await failure(bank.pay, ledger, attempt=2)
    record = await record_of(ledger, bank.pay)
    assert (record.state, record.is_open, record.result, record.closed_by) == ("unknown", True, None, None)
    assert "It said: done, 1 attempts, closed by ann" in record.detail
    assert (await failure(bank.pay, ledger, attempt=3)).message == first.message


async def test_an_attempt_that_ends_finds_a_forged_record_and_a_person_is_asked(
    bank: Bank, ledger: EffectLedger
) -> None:
    key = invocation_of(bank.pay).ledger_key

    async def meanwhile(*_: Any) -> Any:
        await forged(ledger, key, **FORGERIES["failed"])
        return await Bank.make_payment(bank, *_)

    bank.make_payment = meanwhile  # type: ignore[method-assign]
    error = await failure(bank.pay, ledger)
    assert error.type == EFFECT_UNKNOWN_ERROR
    assert f"pay was carried out by this attempt, but the record of pay {NOBODYS}" in error.message
    assert (await record_of(ledger, bank.pay)).state == "unknown"


WORK = Work(id=same_work(run_root("default", "refund-1"), "pay", sha256_of("ada")), chain="second-run")


@pytest.mark.parametrize("name", ["failed", "nothing begun", "done"])
async def test_a_forged_record_of_the_same_work_is_asked_about_and_nothing_is_done(
    bank: Bank, ledger: EffectLedger, name: str
) -> None:
    first = invocation_of(bank.pay).model_copy(
        update={"work": WORK.model_copy(update={"chain": "first-run"})}
    )
    await carried_out(bank.pay, ledger, first)
    await forged(ledger, first.ledger_key, **FORGERIES[name])
    second = invocation_of(bank.pay, index=2).model_copy(update={"work": WORK})
    error = await failure(bank.pay, ledger, second)
    assert (error.type, NOBODYS in error.message) == (EARLIER_EFFECT_ERROR, True)
    assert error.details[0]["earlier"]["state"] == "unknown"
    assert bank.payments == ["ada"]


async def test_a_forged_record_of_the_same_work_that_a_person_knows_of_is_passed_over(
    bank: Bank, ledger: EffectLedger
) -> None:
    first = invocation_of(bank.pay).model_copy(
        update={"work": WORK.model_copy(update={"chain": "first-run"})}
    )
    await carried_out(bank.pay, ledger, first)
    await forged(ledger, first.ledger_key, **FORGERIES["done"])
    knowing = WORK.model_copy(update={"beside": (first.ledger_key,)})
    await carried_out(bank.pay, ledger, invocation_of(bank.pay, index=2).model_copy(update={"work": knowing}))
    assert bank.payments == ["ada", "ada"]


async def test_a_forged_effect_of_an_earlier_run_is_not_counted(bank: Bank, ledger: EffectLedger) -> None:
    first = invocation_of(bank.pay).model_copy(
        update={"work": WORK.model_copy(update={"chain": "first-run"})}
    )
    await died_after_paying(bank, bank.pay, ledger)
    await forged(ledger, first.ledger_key, **FORGERIES["done"], work=WORK.id)
    counting = WORK.model_copy(update={"counts": first.ledger_key})
    error = await failure(
        bank.pay, ledger, invocation_of(bank.pay, index=2).model_copy(update={"work": counting})
    )
    assert (error.type, NOBODYS in error.message) == (EFFECT_UNKNOWN_ERROR, True)


async def asked_and_in_doubt(bank: Bank, ledger: EffectLedger) -> None:
    """A later attempt finds what an earlier one left, and asks."""
    key = invocation_of(bank.pay).ledger_key
    found = await stored(ledger, key)
    doubted = sealed(in_doubt(found.record, "nobody knows"), found.version + 1, TEST_SEAL_KEYS)
    assert await ledger.replace(doubted, version=found.version)


async def test_an_intent_that_is_put_back_whole_is_asked_about_and_not_made_again(
    bank: Bank, database: SQLitePlace | PostgresPlace
) -> None:
    ledger = database.open()
    await died_after_paying(bank, bank.pay, ledger)
    then = await stored(ledger, invocation_of(bank.pay).ledger_key)
    await database.let_pass(timedelta(hours=1))
    first = await failure(bank.pay, ledger, attempt=2)
    back = {"state": then.record.state, "detail": "", "owner": then.record.owner, "seal": then.record.seal}
    texts = ", ".join(f"{column} = '{value}'" for column, value in back.items())
    lease_us = then.record.lease // timedelta(microseconds=1)
    await database.execute(f"UPDATE agentflow_effects SET {texts}, version = 1, lease_us = {lease_us}")
    assert await ledger.get(then.record.key) != then  # it is older by now
    assert is_sealed(await stored(ledger, then.record.key), TEST_SEAL_KEYS)
    await database.let_pass(timedelta(hours=1))
    again = await failure(bank.pay, ledger, attempt=3)
    assert (first.type, again.type) == (EFFECT_UNKNOWN_ERROR, EFFECT_UNKNOWN_ERROR)
    assert bank.payments == ["ada"]


def altering(table: str) -> list[str]:
    return [
        f"UPDATE {table} SET result = replace(result, 'ada', 'eve')",
        f"UPDATE {table} SET detail = 'no attempt of it began'",
        f"UPDATE {table} SET version = version + 1",
        f"UPDATE {table} SET chain = 'another'",
        f"UPDATE {table} SET attempts = attempts + 1",
        f"UPDATE {table} SET lease_us = lease_us + 1",
        f"UPDATE {table} SET counts = key",
        f"UPDATE {table} SET agent = 'Cashier'",
        f"UPDATE {table} SET seal = 'test.00000000000000000000000000000000'",
    ]


@pytest.mark.parametrize("statement", altering("agentflow_effects"))
async def test_a_column_that_was_altered_in_the_database_breaks_the_seal(
    bank: Bank, database: SQLitePlace | PostgresPlace, statement: str
) -> None:
    ledger = database.open()
    await carried_out(bank.pay, ledger)
    assert is_sealed(await stored(ledger, invocation_of(bank.pay).ledger_key), TEST_SEAL_KEYS)
    await database.execute(statement)
    assert NOBODYS in (await failure(bank.pay, ledger, attempt=2)).message
    assert bank.payments == ["ada"]


@pytest.mark.parametrize(
    "text", ["plain", "a\x00b\x10c\x100", "退款 \U0001f4b8", "lone \ud800 surrogate", ""]
)
async def test_whatever_a_record_says_its_seal_is_good_once_it_was_kept(
    ledger: EffectLedger, text: str
) -> None:
    said = dict.fromkeys(("tenant", "workflow_id", "result", "detail"), text)
    made = record(lease=timedelta.max).model_copy(update=said)
    assert await ledger.insert(sealed(made, 1, TEST_SEAL_KEYS))
    found = await stored(ledger, made.key)
    assert is_sealed(found, TEST_SEAL_KEYS)
    assert await ledger.replace(sealed(found.record, 2, TEST_SEAL_KEYS), version=1)
    assert is_sealed(await stored(ledger, made.key), TEST_SEAL_KEYS)
