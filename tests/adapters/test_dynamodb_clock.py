"""DynamoDB's time by the dates of its answers: never more of an age than has passed, whatever the network does."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.adapters import dynamodb_clock
from agentflow.adapters.dynamodb_clock import StoreClock
from agentflow.adapters.ledger_rows import moment

SECOND_US = 1_000_000
START_US = 1_796_000_000 * SECOND_US
"""A time of day that DynamoDB's clock has when the machine's uptime is 0."""

waits = st.integers(0, 5 * SECOND_US)
exchanges = st.lists(st.tuples(waits, waits, waits), min_size=1, max_size=8)
"""Before a request, on its way there, and on its answer's way back."""


class World:
    """A machine, its uptime, and DynamoDB, which dates its answers."""

    def __init__(self, patch: pytest.MonkeyPatch, uptime_us: int) -> None:
        self.uptime_us = uptime_us
        patch.setattr(dynamodb_clock, "uptime_us", lambda: self.uptime_us)

    @property
    def store_us(self) -> int:
        return START_US + self.uptime_us

    def exchange(self, clock: StoreClock, pause: int, way: int, back: int) -> None:
        self.uptime_us += pause
        sent_us = self.uptime_us
        self.uptime_us += way
        answer = dated(self.store_us)
        self.uptime_us += back
        clock.hear(answer, sent_us)


def dated(store_us: int) -> dict[str, Any]:
    date = format_datetime(moment(store_us).replace(microsecond=0), usegmt=True)
    return {"ResponseMetadata": {"HTTPHeaders": {"date": date}}}


@given(st.integers(0, 10**13), exchanges, st.integers(0, 10**10))
def test_now_is_between_the_earliest_and_the_latest(
    uptime_us: int, heard: list[tuple[int, int, int]], later: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        world, clock = World(patch, uptime_us), StoreClock()
        for each in heard:
            world.exchange(clock, *each)
            assert clock.earliest_us() <= world.store_us <= clock.latest_us()
        world.uptime_us += later
        assert clock.earliest_us() <= world.store_us <= clock.latest_us()


@given(exchanges, exchanges, waits)
def test_an_age_that_one_worker_counts_from_anothers_stamp_is_never_too_much(
    writers: list[tuple[int, int, int]], readers: list[tuple[int, int, int]], between: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        world, writer, reader = World(patch, 0), StoreClock(), StoreClock()
        for each in writers:
            world.exchange(writer, *each)
        stamp_us, written_us = writer.latest_us(), world.store_us
        world.uptime_us += between
        for each in readers:
            world.exchange(reader, *each)
        age_us = reader.earliest_us() - stamp_us
        assert age_us <= world.store_us - written_us
        # And by seconds too little, not by hours.
        assert world.store_us - written_us - age_us <= 30 * SECOND_US


@given(exchanges)
def test_what_is_stamped_later_has_a_later_stamp(heard: list[tuple[int, int, int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        world, clock = World(patch, 0), StoreClock()
        stamps = []
        for each in heard:
            world.exchange(clock, *each)
            stamps += [clock.latest_us(), clock.latest_us()]
        assert stamps == sorted(set(stamps))


@pytest.mark.parametrize("step", [timedelta(days=400), -timedelta(days=400)])
def test_a_clock_of_the_store_that_is_set_is_followed(
    monkeypatch: pytest.MonkeyPatch, step: timedelta
) -> None:
    world, clock = World(monkeypatch, 0), StoreClock()
    world.exchange(clock, 0, 10, 10)
    now_us = world.store_us + step // timedelta(microseconds=1)
    clock.hear(dated(now_us), world.uptime_us)
    assert clock.earliest_us() <= now_us <= clock.latest_us() <= now_us + 5 * SECOND_US


def test_what_was_heard_long_ago_is_asked_for_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    world, clock = World(monkeypatch, 0), StoreClock()
    assert not clock.is_known
    world.exchange(clock, 0, 0, 0)
    assert clock.is_known
    world.uptime_us += dynamodb_clock.STALE_US
    assert not clock.is_known


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        {"ResponseMetadata": {}},
        {"ResponseMetadata": {"HTTPHeaders": {"date": "soon"}}},
        {"ResponseMetadata": {"HTTPHeaders": {"date": "Mon, 30 Nov 2026 04:00:00 -0000"}}},
    ],
)
def test_what_has_no_date_tells_no_time(answer: object) -> None:
    clock = StoreClock()
    clock.hear(answer, 0)
    assert not clock.is_known
    with pytest.raises(LookupError):
        clock.earliest_us()


def test_a_date_is_read_as_it_is_written() -> None:
    assert moment(START_US) == datetime.fromtimestamp(START_US / SECOND_US, UTC)
