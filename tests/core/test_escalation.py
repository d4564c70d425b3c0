"""Who may take over a run, how many must say the same of a write in doubt, and what becomes of their words."""

from datetime import timedelta
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.contracts.approval import Approver
from agentflow.contracts.effects import EffectClosing
from agentflow.contracts.escalation import EffectInDoubt, Escalation, Resolution
from agentflow.contracts.rules import Quorum
from agentflow.contracts.wire import Json, ToolCallId, sha256_of
from agentflow.core.answer import AnswerForm, answer_form
from agentflow.core.approval import Refusal
from agentflow.core.escalation import MAX_WORDS, OpenEscalation, judge_resolution, unanswered
from agentflow.core.schema import compile_schema
from tests.core.samples import DEADLINE

NOW = DEADLINE - timedelta(hours=1)
ESCALATION = Escalation(
    id="escalation-2", reason="stuck", deadline=DEADLINE, answerable=True, requested_by="Rita"
)
ANSWERABLE = OpenEscalation(ESCALATION, cast(AnswerForm[Json], answer_form(int)))
GUIDABLE = OpenEscalation(ESCALATION)
EFFECT = EffectInDoubt(
    key=sha256_of("key"), tool="refund", tool_call_id=ToolCallId("1"), arguments={}, detail="cut"
)
DOUBTFUL = OpenEscalation(
    ESCALATION.model_copy(update={"effect": EFFECT}),
    output_check=compile_schema({"type": "string"}, "the output of refund"),
)


def somebody(name: str = "cy", *roles: str, key: str = "", on_behalf_of: str | None = None) -> Approver:
    kids = (key,) if key else ()
    return Approver(subject=name, roles=roles, method="signed", kids=kids, on_behalf_of=on_behalf_of)


def judged(
    open_one: OpenEscalation | None, said: Resolution, by: Approver | Refusal | None = None
) -> OpenEscalation | Refusal:
    return judge_resolution(open_one, said, by or somebody(), NOW)


def accepted(open_one: OpenEscalation, said: Resolution, by: Approver | None = None) -> OpenEscalation:
    found = judged(open_one, said, by)
    assert isinstance(found, OpenEscalation), found
    return found


def why(found: OpenEscalation | Refusal) -> str:
    assert isinstance(found, Refusal)
    return found.reason


def resolution(action: str, **fields: Any) -> Resolution:
    return Resolution.model_validate({"action": action, "by": "cy", **fields})


@pytest.mark.parametrize(
    "said",
    [
        resolution("guide", text="ask for the order"),
        resolution("abort"),
        resolution("answer", answer=7),
        resolution("abort", escalation_id="escalation-2"),
    ],
    ids=lambda said: said.action,
)
def test_a_fitting_resolution_counts(said: Resolution) -> None:
    assert accepted(ANSWERABLE, said).outcome == said


@pytest.mark.parametrize(
    "said",
    [resolution("happened", result="paid"), resolution("did_not_happen"), resolution("abort")],
    ids=lambda said: said.action,
)
def test_a_word_on_what_happened_counts_where_that_is_in_doubt(said: Resolution) -> None:
    assert accepted(DOUBTFUL, said).outcome == said


@pytest.mark.parametrize(
    ("open_one", "said", "why"),
    [
        (None, resolution("abort"), "nothing is escalated"),
        (ANSWERABLE, resolution("abort", escalation_id="escalation-1"), "escalation-1 is not open"),
        (ANSWERABLE, resolution("guide", text=" \n"), "needs a text"),
        (GUIDABLE, resolution("answer", answer=7), "takes no answer"),
        (ANSWERABLE, resolution("answer", answer="seven"), "does not fit"),
        (ANSWERABLE, resolution("answer"), "does not fit"),
        (ANSWERABLE, resolution("happened", result="x"), "no write is in doubt"),
        (GUIDABLE, resolution("did_not_happen"), "no write is in doubt"),
        (DOUBTFUL, resolution("guide", text="go on"), "say happened"),
        (DOUBTFUL, resolution("answer", answer=7), "say happened"),
        (DOUBTFUL, resolution("happened"), "does not fit the tool's output"),
        (DOUBTFUL, resolution("happened", result=7), "does not fit the tool's output"),
    ],
    ids=[
        "nothing open",
        "another one",
        "no guidance",
        "not answerable",
        "wrong type",
        "no answer",
        "nothing happened",
        "nothing could have happened",
        "guidance on a doubt",
        "an answer to a doubt",
        "no result",
        "a result of another type",
    ],
)
def test_another_is_refused_with_the_reason(
    open_one: OpenEscalation | None, said: Resolution, why: str
) -> None:
    refused = judged(open_one, said)
    assert isinstance(refused, Refusal)
    assert why in refused.reason


HAPPENED = resolution("happened", result="paid")
NOT = resolution("did_not_happen")


def needing(people: int, *roles: str, **changes: Any) -> OpenEscalation:
    asked = {"effect": EFFECT, "quorum": Quorum(people=people, roles=roles), **changes}
    return OpenEscalation(ESCALATION.model_copy(update=asked), output_check=DOUBTFUL.output_check)


@pytest.mark.parametrize(
    "said", [HAPPENED, NOT, resolution("guide", text="x"), resolution("answer", answer=7)]
)
@pytest.mark.parametrize("name", ["Rita", " RITA "])
def test_whoever_asked_for_the_run_answers_nothing(said: Resolution, name: str) -> None:
    open_one = DOUBTFUL if said in (HAPPENED, NOT) else ANSWERABLE
    assert "may only abort it" in why(judged(open_one, said, somebody(name)))
    assert "may only abort it" in why(judged(open_one, said, somebody("cy", on_behalf_of=name)))


def test_whoever_asked_for_the_run_may_abort_it_and_needs_no_role() -> None:
    outcome = accepted(needing(2, "finance"), resolution("abort"), somebody("Rita")).outcome
    assert outcome is not None
    assert (outcome.action, outcome.by) == ("abort", "Rita")


def test_nobody_that_is_not_verified_aborts_anything() -> None:
    assert why(judged(DOUBTFUL, resolution("abort"), Refusal("no token"))) == "no token"


def test_an_outcome_names_whom_the_verifier_proved_and_not_whom_the_signal_named() -> None:
    outcome = accepted(DOUBTFUL, NOT, somebody("dora", on_behalf_of="bob")).outcome
    assert outcome is not None
    assert outcome.by == "dora for bob"


def test_a_write_in_doubt_needs_the_role_that_its_approval_needed() -> None:
    open_one = needing(1, "finance")
    assert "none of the roles finance" in why(judged(open_one, NOT, somebody("cy", "support")))
    assert accepted(open_one, NOT, somebody("cy", "finance")).outcome is not None


@pytest.mark.parametrize(("hours", "counts"), [(2, True), (0.5, False)])
def test_the_next_roles_count_once_their_time_has_come(hours: float, counts: bool) -> None:
    quorum = Quorum(roles=("finance",), next_roles=("ops",))
    later = {"quorum": quorum, "next_roles_from": DEADLINE - timedelta(hours=hours)}
    found = judged(needing(1, **later), NOT, somebody("cy", "ops"))
    assert isinstance(found, OpenEscalation) == counts


def test_of_two_people_both_must_say_the_same() -> None:
    one = accepted(needing(2), NOT, somebody("cy"))
    assert one.outcome is None
    two = accepted(one, NOT, somebody("dora"))
    assert two.outcome is not None
    assert two.outcome.by == "cy and dora"


def test_each_person_writes_a_text_of_their_own() -> None:
    first = resolution("did_not_happen", text="not on the statement")
    second = resolution("did_not_happen", text="the bank says no")
    two = accepted(accepted(needing(2), first, somebody("cy")), second, somebody("dora"))
    assert two.outcome is not None
    assert two.outcome.text == "cy: not on the statement; dora: the bank says no"


@pytest.mark.parametrize(
    ("by", "says"),
    [
        (somebody("CY", key="k2"), "has said so already"),
        (somebody("dora", key="k1"), "rests on the key k1 already"),
        (somebody("dora", key="k2", on_behalf_of="cy"), "another person is needed"),
    ],
    ids=["the same person", "the same key", "in the same person's place"],
)
def test_the_same_person_or_key_is_not_two(by: Approver, says: str) -> None:
    one = accepted(needing(2), NOT, somebody("cy", key="k1"))
    assert says in why(judged(one, NOT, by))


def test_who_says_otherwise_holds_it_up_until_they_agree() -> None:
    one = accepted(needing(2), NOT, somebody("cy"))
    split = accepted(one, HAPPENED, somebody("dora"))
    more = accepted(split, NOT, somebody("bob"))
    assert more.outcome is None
    agreed = accepted(more, NOT, somebody("dora"))
    assert agreed.outcome is not None
    assert agreed.outcome.action == "did_not_happen"


def test_two_results_are_two_words() -> None:
    one = accepted(needing(2), HAPPENED, somebody("cy"))
    assert accepted(one, resolution("happened", result="paid 2"), somebody("dora")).outcome is None


def test_there_is_a_limit_to_how_many_disagree() -> None:
    open_one = accepted(accepted(needing(2), NOT, somebody("a")), HAPPENED, somebody("b"))
    for number in range(MAX_WORDS - 2):
        open_one = accepted(open_one, NOT, somebody(f"p{number}"))
    assert "only abort counts" in why(judged(open_one, NOT, somebody("z")))
    assert accepted(open_one, resolution("abort"), somebody("z")).outcome is not None


def test_names_of_any_length_fit_the_ledger() -> None:
    long = somebody("x" * 200, on_behalf_of="y" * 200)
    for outcome in (
        accepted(DOUBTFUL, NOT, long).outcome,
        accepted(DOUBTFUL, resolution("abort"), long).outcome,
    ):
        assert outcome is not None
        EffectClosing(verdict="abort", by=outcome.by)


def test_what_others_are_shown_of_a_word_is_bounded_and_what_counts_is_not() -> None:
    big = resolution("happened", result="p" * 60_000, text="t" * 20_000)
    one = accepted(needing(2), big, somebody("cy"))
    assert len(one.escalation.model_dump_json()) < 5_000
    two = accepted(one, big, somebody("dora"))
    assert two.outcome is not None
    assert two.outcome.result == "p" * 60_000


def test_what_is_answered_is_answered_once() -> None:
    done = accepted(DOUBTFUL, NOT)
    assert "answered already" in why(judged(done, HAPPENED, somebody("dora")))


def test_an_answer_that_rests_on_a_word_that_is_gone_is_open_again() -> None:
    done = accepted(accepted(needing(2), NOT, somebody("cy")), NOT, somebody("dora"))
    again = done.keeping(lambda consent: consent.by != "cy")
    assert again.outcome is None
    assert [word.consent.by for word in again.escalation.words] == ["dora"]
    aborted = accepted(needing(2), resolution("abort"), somebody("cy"))
    assert aborted.keeping(lambda consent: False) == aborted


@given(
    st.integers(1, 3),
    st.lists(
        st.tuples(st.sampled_from(["rita", "cy", "dora", "bob"]), st.booleans(), st.sampled_from("12345")),
        max_size=12,
    ),
)
def test_only_enough_different_people_and_keys_that_all_say_the_same_end_a_doubt(
    people: int, said: list[tuple[str, bool, str]]
) -> None:
    open_one, words = needing(people), dict[str, tuple[bool, str]]()
    for name, happened, key in said:
        if open_one.outcome:
            break
        after = judged(open_one, HAPPENED if happened else NOT, somebody(name, key=key))
        others = {other: word for other, word in words.items() if other != name}
        is_new = name not in words or words[name][0] != happened
        is_other_key = key not in [kid for _, kid in others.values()]
        counts = name != "rita" and is_new and is_other_key
        assert isinstance(after, OpenEscalation) == counts
        if isinstance(after, OpenEscalation):
            open_one, words = after, {**others, name: (happened, key)}
        agree = len({word for word, _ in words.values()}) == 1
        assert (open_one.outcome is not None) == (len(words) >= people and agree)


@pytest.mark.parametrize("action", ["guide", "abort"])
def test_an_answer_at_the_deadline_is_late_and_one_just_before_it_counts(action: str) -> None:
    said = resolution(action, text="go on")
    late = judge_resolution(GUIDABLE, said, somebody(), DEADLINE)
    assert isinstance(late, Refusal)
    assert late.is_late
    in_time = judge_resolution(GUIDABLE, said, somebody(), DEADLINE - timedelta(microseconds=1))
    assert isinstance(in_time, OpenEscalation)
    assert in_time.outcome is not None


def signed_at(at: int | None, name: str = "cy", **who: Any) -> Approver:
    return somebody(name, key=f"{name}-1", **who).model_copy(update={"signed_at": at})


def said_so_far(open_one: OpenEscalation) -> list[tuple[str, str]]:
    return [(word.consent.by, word.action) for word in open_one.escalation.words]


@pytest.mark.parametrize("at", [99, 100])
@pytest.mark.parametrize("action", ["happened", "abort"])
def test_a_word_that_was_signed_earlier_takes_no_later_ones_place(action: str, at: int) -> None:
    older = HAPPENED if action == "happened" else resolution("abort")
    open_one = accepted(needing(2), NOT, signed_at(100))
    refused = why(judged(open_one, older, signed_at(at)))
    assert "cy signed otherwise at 1970-01-01T00:01:40+00:00" in refused
    assert "sign anew what is meant" in refused
    assert accepted(open_one, older, signed_at(101))


def test_where_nobody_signs_a_persons_last_word_is_the_one_that_came_last() -> None:
    open_one = accepted(accepted(needing(2), HAPPENED), NOT)
    assert said_so_far(accepted(open_one, HAPPENED)) == [("cy", "happened")]


def test_a_word_from_before_one_that_was_taken_back_does_not_count() -> None:
    open_one = accepted(needing(2), NOT, signed_at(100)).keeping(lambda consent: False)
    for word in (NOT, HAPPENED):
        assert "no longer counts" in why(judged(open_one, word, signed_at(100)))
        assert said_so_far(accepted(open_one, word, signed_at(101)))


@given(
    st.lists(
        st.tuples(st.sampled_from(["cy", "dora", "bob"]), st.integers(1, 6), st.booleans()),
        min_size=1,
        max_size=8,
    ).flatmap(lambda words: st.lists(st.sampled_from(words), min_size=1, max_size=20))
)
def test_whatever_is_sent_again_in_whatever_order_each_persons_word_is_the_one_they_signed_last(
    sent: list[tuple[str, int, bool]],
) -> None:
    open_one, last = needing(9), dict[str, tuple[int, bool]]()
    for name, at, happened in sent:
        word, by = HAPPENED if happened else NOT, signed_at(at, name)
        after = judged(open_one, word, by)
        # A run remembers of what it refuses, too, when it was signed.
        open_one = after if isinstance(after, OpenEscalation) else open_one.with_latest(by.consent, word)
        if name not in last or last[name][0] < at:
            last[name] = (at, happened)
    said = {name: "happened" if happened else "did_not_happen" for name, (_, happened) in last.items()}
    assert dict(said_so_far(open_one)) == said


@pytest.mark.parametrize(
    ("said", "refused", "says"),
    [
        ([], 0, "nobody took over before"),
        ([], 2, "no answer counted before"),
        ([("cy", NOT)], 0, "1 of 3 people answered (cy: did_not_happen) before"),
        (
            [("cy", NOT), ("dora", NOT)],
            1,
            "2 of 3 people answered (cy: did_not_happen, dora: did_not_happen)",
        ),
        (
            [("cy", NOT), ("dora", HAPPENED)],
            0,
            "2 people answered and did not agree (cy: did_not_happen, dora:",
        ),
    ],
    ids=["nobody", "nobody who may", "one", "two", "two who differ"],
)
def test_what_people_said_of_what_they_did_not_resolve_in_time_is_told(
    said: list[tuple[str, Resolution]], refused: int, says: str
) -> None:
    open_one = needing(3)
    for name, word in said:
        open_one = accepted(open_one, word, somebody(name))
    told = unanswered(open_one.escalation.model_copy(update={"refusals": refused}))
    assert told.startswith(says)
    assert f"before {DEADLINE.isoformat()}" in told
    assert told.endswith(f"; answers that did not count: {refused}") == bool(refused)


def test_those_who_are_left_have_answered_if_they_are_enough_and_say_the_same() -> None:
    disputed = accepted(accepted(needing(2), HAPPENED, somebody("cy")), NOT, somebody("dora"))
    disputed = accepted(disputed, resolution("did_not_happen", text="I looked"), somebody("bob"))
    agreed = disputed.keeping(lambda consent: consent.by != "cy")
    assert agreed.outcome is not None
    assert (agreed.outcome.action, agreed.outcome.by) == ("did_not_happen", "dora and bob")
    assert agreed.outcome.text == "bob: I looked"


def test_a_later_word_that_does_not_count_takes_the_older_one_along() -> None:
    open_one = accepted(needing(2), HAPPENED, signed_at(100))
    assert said_so_far(open_one.with_latest(signed_at(101).consent, NOT)) == []
    assert said_so_far(open_one.with_latest(signed_at(101).consent, HAPPENED)) == [("cy", "happened")]


def test_who_said_otherwise_while_it_was_answered_is_not_held_to_the_older_word() -> None:
    done = accepted(accepted(needing(2), NOT, signed_at(100)), NOT, signed_at(100, "dora"))
    told = done.with_latest(signed_at(101).consent, HAPPENED)
    assert told.outcome is not None
    assert said_so_far(told.keeping(lambda consent: consent.by != "dora")) == []


def test_in_anothers_place_and_their_own_a_person_has_one_last_word() -> None:
    for_ann = signed_at(101).model_copy(update={"on_behalf_of": "ann"})
    open_one = accepted(accepted(needing(2), HAPPENED, signed_at(100)), NOT, for_ann)
    assert said_so_far(open_one) == [("cy", "did_not_happen")]
    assert "signed otherwise" in why(judged(open_one, HAPPENED, signed_at(100)))


def test_what_was_answered_and_no_longer_counts_is_told() -> None:
    gone = accepted(needing(2), NOT, somebody("cy")).keeping(lambda consent: False)
    told = unanswered(gone.escalation)
    assert told.startswith("no answer counted before")
    assert told.endswith("; answered, and no longer counts: cy")
