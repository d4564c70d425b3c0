from hypothesis import given
from hypothesis import strategies as st

from agentflow.contracts.rules import DecisionRecord, Subject
from agentflow.core.record import MAX_RECORDS, DecisionLog


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
