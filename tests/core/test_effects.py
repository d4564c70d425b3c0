from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.contracts.effects import EffectClosing, EffectRecord, EffectState, StoredEffect
from agentflow.contracts.tools import Recovery, ToolContract, ToolOptions
from agentflow.contracts.wire import ToolCallId, sha256_of
from agentflow.core import effects
from agentflow.errors import EffectConflictError

NOW = datetime(2026, 11, 1, tzinfo=UTC)
LEASE = timedelta(seconds=30)
INTENT = EffectRecord(
    key=sha256_of("key"),
    namespace="default",
    workflow_id="refund-1",
    run_id="second",
    tool="refund",
    tool_call_id=ToolCallId("call_1"),
    arguments_hash=sha256_of("arguments"),
    owner="second attempt",
    lease=LEASE,
)
FIRST = INTENT.model_copy(update={"owner": "first attempt", "run_id": "first"})


def stored(
    record: EffectRecord = FIRST, *, age: timedelta = timedelta(0), written_after: int = 0
) -> StoredEffect:
    created = NOW - timedelta(seconds=written_after)
    return StoredEffect(record=record, version=1, age=age, created_at=created, written_at=NOW)


def contract(recovery: Recovery) -> ToolContract:
    return ToolContract(
        name="refund",
        description="Refund.",
        input_schema={},
        output_schema={},
        effect="write",
        recovery=recovery,
        options=ToolOptions(max_effect_delay=timedelta(seconds=5), key_lifetime=timedelta(hours=1)),
    )


@given(st.timedeltas(timedelta(0), timedelta(days=400)))
def test_an_intent_is_busy_until_its_lease_is_over_and_then_abandoned(age: timedelta) -> None:
    match effects.examine(stored(age=age), INTENT):
        case effects.Busy(wait):
            assert age < LEASE
            assert wait == LEASE - age
        case effects.Abandoned(since):
            assert age >= LEASE
            assert since == age
        case other:
            pytest.fail(f"{other}")


def test_the_time_since_the_first_attempt_counts_from_the_insertion() -> None:
    found = effects.examine(stored(age=LEASE, written_after=100), INTENT)
    assert found == effects.Abandoned(timedelta(seconds=130))


def test_a_key_whose_age_a_clock_that_was_set_back_hides_is_taken_for_forgotten() -> None:
    found = effects.examine(stored(age=2 * LEASE, written_after=-3_600), INTENT)
    assert isinstance(found, effects.Abandoned)
    assert effects.recovery_of(contract("key"), found.since_first) == "ask"


@pytest.mark.parametrize("state", ["done", "failed"])
def test_an_ended_record_is_found_as_such_however_old_it_is(state: EffectState) -> None:
    record = FIRST.model_copy(update={"state": state})
    assert effects.examine(stored(record, age=timedelta(days=9)), INTENT) == effects.Ended(record)


def test_an_unknown_record_stays_in_doubt() -> None:
    record = effects.in_doubt(FIRST, "nobody knows")
    assert effects.examine(stored(record, age=timedelta(days=9)), INTENT) == effects.Doubtful("nobody knows")


@pytest.mark.parametrize("state", ["intended", "done", "failed", "unknown"])
def test_a_key_of_another_tools_call_is_a_conflict(state: EffectState) -> None:
    taken = FIRST.model_copy(update={"state": state, "tool": "wire"})
    with pytest.raises(EffectConflictError, match=FIRST.key):
        effects.examine(stored(taken), INTENT)


@pytest.mark.parametrize("state", ["intended", "done", "failed", "unknown"])
def test_a_key_of_a_call_with_other_arguments_is_taken(state: EffectState) -> None:
    taken = FIRST.model_copy(update={"state": state, "arguments_hash": sha256_of("other")})
    assert effects.examine(stored(taken), INTENT) == effects.Taken(taken)


@pytest.mark.parametrize(("recovery", "seconds"), [("key", 0), ("probe", 5), ("ask", 5)])
def test_what_is_in_flight_is_waited_for_unless_the_key_keeps_it_apart(
    recovery: Recovery, seconds: int
) -> None:
    assert effects.effect_delay(contract(recovery)) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("recovery", "hours", "how"),
    [("key", 0.5, "key"), ("key", 1, "ask"), ("probe", 9_000, "probe"), ("ask", 0, "ask")],
)
def test_a_key_that_may_be_forgotten_is_no_key(recovery: Recovery, hours: float, how: Recovery) -> None:
    assert effects.recovery_of(contract(recovery), timedelta(hours=hours)) == how


def test_a_take_over_changes_the_owner_and_calls_nothing() -> None:
    taken = effects.taken_over(stored(effects.left(FIRST, timedelta(0), "cut")), INTENT)
    assert (taken.owner, taken.run_id, taken.lease, taken.attempts) == ("second attempt", "second", LEASE, 1)
    assert taken.detail == "cut"
    assert effects.called_again(taken, LEASE).attempts == 2


def test_what_was_withdrawn_is_untouched_and_free_at_once() -> None:
    found = effects.examine(stored(effects.withdrawn(FIRST)), INTENT)
    assert found == effects.Abandoned(timedelta(0), untouched=True)


@pytest.mark.parametrize("verdict", ["happened", "did_not_happen", "abort"])
def test_a_closed_record_is_open_to_nobody_and_says_who_closed_it(verdict: str) -> None:
    closing = EffectClosing(verdict=verdict, by="ann", text="looked")  # type: ignore[arg-type]
    result = None if verdict == "abort" else "{}"
    closed = effects.closed(effects.in_doubt(FIRST, "cut"), closing, result)
    states = {"happened": "done", "did_not_happen": "failed", "abort": "unknown"}
    assert (closed.state, closed.closed_by, closed.is_open) == (states[verdict], "ann", False)
    assert closed.detail == f"cut; {verdict}, says ann: looked"


def test_an_open_record_is_intended_or_unknown_to_all() -> None:
    assert FIRST.is_open
    assert effects.in_doubt(FIRST, "").is_open
    assert not effects.ended(FIRST, "{}", happened=True).is_open


@pytest.mark.parametrize(
    ("found", "may"),
    [
        (effects.in_doubt(FIRST.model_copy(update={"owner": "another"}), ""), True),
        (FIRST, True),
        (FIRST.model_copy(update={"owner": "another"}), False),
        (effects.ended(FIRST, "{}", happened=True), False),
        (effects.closed(FIRST, EffectClosing(verdict="abort", by="ann"), None), False),
    ],
    ids=["in doubt", "still its own", "another at work", "ended", "closed by a person"],
)
def test_who_knows_the_end_may_say_so_unless_it_is_said_or_another_is_at_work(
    found: EffectRecord, may: bool
) -> None:
    assert effects.knows_better(stored(found), FIRST) is may


@given(st.text(max_size=9_000))
def test_a_detail_can_be_kept_anywhere(text: str) -> None:
    detail = effects.in_doubt(FIRST, text).detail
    assert len(detail) <= effects.MAX_DETAIL
    assert "\x00" not in detail
    detail.encode()


def test_a_call_that_was_given_up_is_told_from_one_that_was_refused() -> None:
    assert effects.was_given_up(effects.given_up(FIRST, "never began"))
    assert effects.was_given_up(effects.given_up(FIRST, "found undone"))
    assert not effects.was_given_up(effects.ended(FIRST, "{}", happened=False))
