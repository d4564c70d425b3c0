"""A record dated ahead keeps nobody waiting for longer than its lease: whoever has watched it knows its age."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.activity import machine_clock, sightings
from agentflow.activity.ledger_calls import LedgerCalls
from agentflow.activity.sightings import Sightings, sightings_of
from agentflow.contracts.effects import EffectRecord, StoredEffect
from agentflow.contracts.names import EFFECT_UNKNOWN_ERROR
from agentflow.contracts.wire import Sha256
from agentflow.core.record_seals import sealed
from agentflow.testing import MemoryLedger
from agentflow.testing.settings import TEST_SEAL_KEYS
from tests.activity.outside import DELAY, LIMIT, Bank, failure
from tests.adapters.ledger_places import record

SECOND = timedelta(seconds=1)
US = timedelta(microseconds=1)


class Machine:
    """This machine's clock."""

    def __init__(self) -> None:
        self.us = 10**9

    def advance(self, by: timedelta) -> None:
        self.us += by // US


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(machine_clock, "uptime_us", lambda: machine.us)
    monkeypatch.setattr("agentflow.activity.ledger_calls.uptime_us", lambda: machine.us)
    return machine


class DatedAhead(MemoryLedger):
    """By whose stamps nothing is ever old."""

    async def get(self, key: Sha256) -> StoredEffect | None:
        found = await super().get(key)
        return found and found.model_copy(update={"age": timedelta(0)})


async def kept(*records: EffectRecord, ledger: MemoryLedger | None = None) -> LedgerCalls:
    ledger = ledger or DatedAhead()
    for each in records:
        await ledger.insert(sealed(each, 1, TEST_SEAL_KEYS))
    return LedgerCalls(ledger, TEST_SEAL_KEYS)


async def age_of(calls: LedgerCalls, number: int = 1) -> timedelta:
    found = await calls.get(record(number).key)
    assert isinstance(found, StoredEffect)
    return found.age


async def test_an_age_is_how_long_a_version_was_seen_where_its_stamp_says_less(machine: Machine) -> None:
    calls = await kept(record())
    assert await age_of(calls) == timedelta(0)
    machine.advance(90 * SECOND)
    assert await age_of(calls) == 90 * SECOND


async def test_an_age_by_the_stamp_counts_where_it_is_more(machine: Machine) -> None:
    ledger = MemoryLedger()
    calls = await kept(record(), ledger=ledger)
    await age_of(calls)
    machine.advance(SECOND)
    ledger.advance(30 * SECOND)
    assert await age_of(calls) == 30 * SECOND


@pytest.mark.parametrize("change", [{"attempts": 2}, {"owner": "another"}])
async def test_a_change_begins_anew(machine: Machine, change: dict[str, Any]) -> None:
    ledger = DatedAhead()
    calls = await kept(record(), ledger=ledger)
    await age_of(calls)
    machine.advance(90 * SECOND)
    await ledger.replace(sealed(record(**change), 2, TEST_SEAL_KEYS), version=1)
    assert await age_of(calls) == timedelta(0)


async def test_the_same_version_of_another_owner_is_another_record(machine: Machine) -> None:
    ledger = DatedAhead()
    calls = await kept(record(), ledger=ledger)
    await age_of(calls)
    machine.advance(90 * SECOND)
    # The ledger was made anew meanwhile.
    ledger._effects.clear()
    await ledger.insert(sealed(record(owner="another"), 1, TEST_SEAL_KEYS))
    assert await age_of(calls) == timedelta(0)


async def test_all_that_use_a_ledger_in_a_process_see_together(machine: Machine) -> None:
    ledger = DatedAhead()
    await age_of(await kept(record(), ledger=ledger))
    machine.advance(90 * SECOND)
    assert await age_of(LedgerCalls(ledger, TEST_SEAL_KEYS)) == 90 * SECOND
    other = await kept(record())
    assert await age_of(other) == timedelta(0)


async def test_a_ledger_that_can_not_be_a_key_is_watched_too(machine: Machine) -> None:
    class Slotted(DatedAhead):
        __hash__ = None  # pyright: ignore[reportAssignmentType] - as a dataclass that compares has it

    ledger = Slotted()
    assert sightings_of(ledger) is sightings_of(ledger)
    assert sightings_of(ledger) is not sightings_of(Slotted())


async def test_the_oldest_sighting_is_forgotten_first(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sightings, "MOST_SEEN", 2)
    calls = await kept(record(1), record(2), record(3))
    for number in (1, 2, 1, 3):
        await age_of(calls, number)
    machine.advance(SECOND)
    assert await age_of(calls, 1) == SECOND
    assert await age_of(calls, 2) == timedelta(0)


async def test_a_call_whose_record_is_dated_ahead_can_be_answered_once_its_lease_is_over(
    machine: Machine,
) -> None:
    class Killed(BaseException):
        pass

    bank, ledger = Bank(), DatedAhead()
    bank.error = Killed()
    with pytest.raises(Killed):
        await failure(bank.pay, ledger)
    bank.error = None
    assert (await failure(bank.pay, ledger, attempt=2)).type == "EffectBusy"
    machine.advance(LIMIT + DELAY)
    assert (await failure(bank.pay, ledger, attempt=3)).type == EFFECT_UNKNOWN_ERROR
    assert bank.payments == ["ada"]


@given(st.lists(st.tuples(st.sampled_from(["look", "write", "race"]), st.integers(0, 100)), max_size=20))
def test_an_age_is_never_more_than_has_passed(steps: list[tuple[str, int]]) -> None:
    machine, seen = Machine(), Sightings()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine_clock, "uptime_us", lambda: machine.us)
        version, written_us = 1, machine.us
        for step, pause in steps:
            machine.us += pause
            if step == "write":
                version, written_us = version + 1, machine.us
                continue
            asked_us = machine.us
            if step == "race":
                # It is written after it was asked for, and before the answer comes.
                machine.us += pause
                version, written_us = version + 1, machine.us
            stored = StoredEffect(
                record=record(),
                version=version,
                age=timedelta(0),
                created_at=MemoryLedger().now,
                written_at=MemoryLedger().now,
            )
            machine.us += pause  # the answer's way
            assert seen.aged(stored, asked_us).age <= max(0, machine.us - pause - written_us) * US
