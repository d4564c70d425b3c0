from hypothesis import given
from hypothesis import strategies as st

from agentflow.contracts.rules import DecisionRecord, Subject
from agentflow.core.record import MAX_BYTES, MAX_NOISE, MAX_RECORDS, DecisionLog


def record(subject: Subject, detail: str, *, accepted: bool = True, by: str | None = None) -> DecisionRecord:
    at = "2026-11-22T12:00:00+00:00"
    return DecisionRecord(subject=subject, accepted=accepted, detail=detail, at=at, by=by)


def filled(*records: DecisionRecord) -> DecisionLog:
    log = DecisionLog()
    for one in records:
        log = log.add(one)
    return log


def test_records_are_kept_in_order() -> None:
    log = filled(record("tool_call", "first"), record("approval", "second"))
    assert [one.detail for one in log.records] == ["first", "second"]
    assert log.dropped == 0


@given(st.integers(0, 5))
def test_the_log_is_bounded_and_counts_what_it_dropped(more: int) -> None:
    full = DecisionLog(tuple(record("tool_call", str(number)) for number in range(MAX_RECORDS - 2)))
    for number in range(2 + more):
        full = full.add(record("tool_call", f"more {number}"))
    assert len(full.records) == MAX_RECORDS
    assert full.dropped == more
    assert full.records[-1].detail == f"more {1 + more}"


def flooded(noise: DecisionRecord) -> DecisionLog:
    """A decision, then as much noise as the log holds, then another decision."""
    first = DecisionLog((record("tool_call", "refund allowed"), *[noise] * (MAX_RECORDS - 1)))
    return first.add(noise).add(record("approval", "granted"))


def test_a_flood_of_malformed_signals_pushes_no_decision_out() -> None:
    log = flooded(record("signal", "malformed", accepted=False))
    assert log.records[0].detail == "refund allowed"
    assert log.records[-1].detail == "granted"


def test_a_flood_of_refused_approvals_pushes_no_decision_out() -> None:
    for subject in ("approval", "rejection", "resolution"):
        log = flooded(record(subject, "no approval approval-99", accepted=False, by="eve"))
        assert log.records[0].detail == "refund allowed"
        assert log.records[-1].detail == "granted"


def test_without_noise_the_oldest_record_goes() -> None:
    decisions = tuple(record("tool_call", str(number)) for number in range(MAX_RECORDS))
    log = DecisionLog(decisions).add(record("tool_call", "last"))
    assert log.records[0].detail == "1"


def test_a_denied_call_and_an_expired_approval_are_no_noise() -> None:
    kept = (record("tool_call", "denied", accepted=False), record("approval", "expired", accepted=False))
    allowed = tuple(record("tool_call", str(number)) for number in range(MAX_RECORDS - 3))
    log = DecisionLog((record("tool_call", "oldest"), *kept, *allowed)).add(record("tool_call", "last"))
    assert log.records[:2] == kept


anything = st.builds(
    record,
    st.sampled_from(["tool_call", "approval", "resolution", "freeze", "revocation", "signal", "check"]),
    st.text(max_size=40).map(lambda text: text * 100),
    accepted=st.booleans(),
    by=st.none() | st.sampled_from(["eve", "\U0001f4a5" * 200]),
)


@given(st.lists(anything, max_size=30), st.integers(1, 30))
def test_whatever_is_recorded_the_log_is_one_payload(some: list[DecisionRecord], times: int) -> None:
    log = filled(*some * times)
    size = sum(len(one.model_dump_json().encode()) for one in log.records)
    assert size <= MAX_BYTES
    assert log.size in (size, None if not some else size)
    assert len(log.records) + log.dropped == len(some) * times


def test_what_had_no_effect_is_short_and_what_was_decided_is_whole() -> None:
    refused = record("approval", "x" * 1_900, accepted=False, by="eve")
    log = filled(refused, refused.model_copy(update={"accepted": True}))
    assert [len(one.detail) for one in log.records] == [MAX_NOISE, 1_900]


def test_a_flood_of_what_anybody_may_do_pushes_out_nothing_that_rules_and_people_decided() -> None:
    flood = [record("revocation", "key k: " + "x" * 1_900, by="eve"), record("freeze", "y" * 1_900, by="eve")]
    log = filled(record("tool_call", "refund allowed"), *flood * 300, record("approval", "granted"))
    assert log.records[0].detail == "refund allowed"
    assert log.records[-1].detail == "granted"
    assert log.dropped > 300


def test_a_log_that_is_quiet_has_what_was_decided_and_counts_the_rest() -> None:
    noise = [record("signal", "malformed", accepted=False), record("revocation", "key k", by="eve")]
    quiet = filled(
        record("tool_call", "allowed"), *noise * 5, record("revocation", "the keys changed")
    ).quiet()
    assert [one.detail for one in quiet.records] == ["allowed", "the keys changed"]
    assert quiet.dropped == 10


def test_who_reads_a_log_that_is_not_whole_is_told_how_much_is_gone() -> None:
    assert filled(record("tool_call", "1")).shown() == (record("tool_call", "1"),)
    first, second = DecisionLog((record("tool_call", "1"),), dropped=7).shown()
    assert first.detail.startswith("7 lines are left out")
    assert second.detail == "1"
