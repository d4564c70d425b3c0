"""Seals of the ledger's records: over all that a record says, and the version it is written as."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agentflow.contracts.effects import EffectRecord, StoredEffect
from agentflow.contracts.wire import ToolCallId, sha256_of
from agentflow.core.record_seals import Unsealed, is_sealed, sealed
from agentflow.core.seal import SealKeys

OLD, NEW = b"o" * 32, b"n" * 32
KEYS = SealKeys("old", {"old": OLD})
NOW = datetime(2026, 1, 1, tzinfo=UTC)

RECORD = EffectRecord(
    key=sha256_of("key"),
    namespace="default",
    workflow_id="refund-1",
    run_id="run-1",
    tool="pay",
    tool_call_id=ToolCallId("call_1"),
    arguments_hash=sha256_of("arguments"),
    owner="1/1/owner",
    lease=timedelta(seconds=80),
)
TEXTS = st.text(max_size=20)
CHANGES: dict[str, st.SearchStrategy[Any]] = {
    "key": st.integers().map(sha256_of),
    **dict.fromkeys(
        ("namespace", "workflow_id", "agent", "tenant", "chain", "run_id", "tool", "owner"), TEXTS
    ),
    "tool_call_id": TEXTS.map(ToolCallId),
    "arguments_hash": st.integers().map(sha256_of),
    "work": st.none() | st.integers().map(sha256_of),
    "counts": st.none() | st.integers().map(sha256_of),
    "state": st.sampled_from(["intended", "done", "failed", "unknown"]),
    "attempts": st.integers(0, 9),
    "lease": st.timedeltas(timedelta(0), timedelta(days=999)),
    "result": st.none() | TEXTS,
    "detail": TEXTS,
    "closed_by": st.none() | TEXTS,
}
CHANGED = st.fixed_dictionaries({}, optional=CHANGES)


def kept(record: EffectRecord, version: int = 1) -> StoredEffect:
    return StoredEffect(record=record, version=version, age=timedelta(0), created_at=NOW, written_at=NOW)


def test_every_field_of_a_record_is_tried_here() -> None:
    assert set(CHANGES) == set(EffectRecord.model_fields) - {"seal"}


@given(CHANGED, CHANGED, st.integers(1, 9), st.integers(1, 9))
def test_a_seal_is_good_for_one_record_at_one_version(
    first: dict[str, Any], second: dict[str, Any], was: int, is_now: int
) -> None:
    ours, theirs = RECORD.model_copy(update=first), RECORD.model_copy(update=second)
    made = sealed(ours, was, KEYS)
    moved = theirs.model_copy(update={"seal": made.seal})
    assert is_sealed(kept(made, was), KEYS)
    assert is_sealed(kept(moved, is_now), KEYS) is ((ours, was) == (theirs, is_now))


@given(TEXTS | st.from_regex(r"old\.[0-9a-f]{32}", fullmatch=True))
def test_what_is_no_seal_of_the_fleet_is_none(seal: str) -> None:
    assert not is_sealed(kept(RECORD.model_copy(update={"seal": seal})), KEYS)


def test_a_key_that_was_replaced_is_believed_until_it_is_removed() -> None:
    made = kept(sealed(RECORD, 1, KEYS))
    assert is_sealed(made, SealKeys("new", {"old": OLD, "new": NEW}))
    assert not is_sealed(made, SealKeys("new", {"new": NEW}))
    assert not is_sealed(made, SealKeys("old", {"old": NEW}))


def test_a_record_is_sealed_anew_whatever_seal_it_had() -> None:
    assert sealed(sealed(RECORD, 1, KEYS), 2, KEYS) == sealed(RECORD, 2, KEYS)


def test_a_person_is_told_which_record_it_is_and_what_to_look_at() -> None:
    told = str(Unsealed(kept(RECORD, 3)))
    assert RECORD.key in told
    assert "the record of pay was not written by a worker of this fleet" in told
    assert "version 3" in told
