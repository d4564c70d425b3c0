"""What an approver is shown is enough to decide, and nothing in it pretends to be something else."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.contracts.approval import UntrustedValue
from agentflow.contracts.identity import RefusedAttempt
from agentflow.core.approver_page import left, page, sentence_of
from tests.core.samples import DEADLINE, approval_request, contract_of

REFUND = contract_of(
    input_schema={
        "type": "object",
        "properties": {"amount": {}, "order": {}, "note": {}},
        "additionalProperties": False,
    }
).model_copy(update={"description": "Refund an order. It can't be undone.", "sentence": None})
WORDED = REFUND.model_copy(update={"sentence": "Refund {amount} of {order}: {note}"})


def facts(**given: Any) -> dict[str, str]:
    about = given.pop("about", {})
    return dict(page(approval_request(**given).model_copy(update=about), DEADLINE - timedelta(hours=3)))


def test_a_contracts_own_sentence_is_filled_in() -> None:
    said = sentence_of("refund", WORDED, {"amount": "49.00", "order": "ORD-7", "note": "broken on arrival"})
    assert said == 'Refund 49.00 of ORD-7: "broken on arrival"'


def test_without_one_the_description_and_the_arguments_say_it() -> None:
    assert (
        sentence_of("refund", REFUND, {"amount": 49, "order": "ORD-7"})
        == "Refund an order: amount 49, order ORD-7"
    )
    assert sentence_of("close account", None, {}) == "close account"


def test_an_argument_that_is_left_out_is_null() -> None:
    assert sentence_of("refund", WORDED, {"amount": 1, "order": "a"}) == "Refund 1 of a: null"


def test_braces_that_are_doubled_are_braces_and_a_value_with_braces_stays_as_it_is() -> None:
    worded = WORDED.model_copy(update={"sentence": "{{x}} {note}"})
    assert sentence_of("refund", worded, {"note": "{amount}", "amount": "1"}) == '{x} "{amount}"'


@given(st.text())
def test_free_text_stands_in_quotes_so_that_it_does_not_read_as_the_sentence(text: str) -> None:
    said = sentence_of("refund", WORDED, {"amount": "1", "order": "a", "note": text})
    assert said.startswith("Refund 1 of a: ")
    value = said.removeprefix("Refund 1 of a: ")
    assert value.startswith('"') or not any(character in value for character in ' \n"()')


@pytest.mark.parametrize(
    ("identity", "said"),
    [
        ("trusted", "dev; approvers are taken at their word"),
        ("signed", "dev; decisions are signed"),
        ("badge", "dev; approvers are verified by badge"),
    ],
)
def test_it_says_where_the_action_would_be_done_and_whose_word_counts(identity: str, said: str) -> None:
    assert facts(about={"tier": "dev", "identity": identity})["tier"] == said


def test_a_long_value_is_cut() -> None:
    assert len(sentence_of("refund", WORDED, {"note": "x" * 10_000})) < 200


def test_the_page_says_all_that_a_decision_rests_on() -> None:
    about = {
        "sentence": "Refund 49.00 of ORD-7",
        "effect": "irreversible",
        "sinks": ("order",),
        "cost_usd": Decimal("0.02"),
        "spent_usd": Decimal("0.1234"),
        "on_refusal": "it is not done",
    }
    arguments = {"order": "ORD-7", "note": "n"}
    sources = {"order": "task", "note": "model"}
    said = facts(people=2, roles=("finance",), arguments=arguments, sources=sources, about=about)
    assert said["action"] == "Refund 49.00 of ORD-7"
    assert said["tool"] == "refund (irreversible)"
    assert said["rule"] == "large_refund: more than 100 dollars"
    assert (
        said["people"]
        == "2 more of 2 with role finance; not ada lovelace, who asked for the run (not verified)"
    )
    assert said["bound to"].startswith("exactly these arguments, hash ")
    assert (said["at stake"], said["other values"]) == ("order from task", "note from model")
    assert said["cost"] == "$0.02 for the call itself; the run has spent $0.123400 so far"
    assert said["if refused"] == "it is not done"
    assert said["deadline"] == "2026-11-22 12:00:00+00:00 (in 3 h 0 min); no answer is a refusal"


def test_each_value_that_is_not_trusted_has_a_line_that_says_why() -> None:
    told = [
        ("to", "eve@evil.example", "seen nowhere"),
        ("note", "a: b, c", "too short"),
        ("secret", "", "other"),
    ]
    untrusted = tuple(UntrustedValue(argument=name, value=value, why=why) for name, value, why in told)
    lines = page(approval_request().model_copy(update={"untrusted": untrusted}))
    assert [text for label, text in lines if label == "not trusted"] == [
        "to eve@evil.example: seen nowhere",
        'note "a: b, c": too short',
        "secret: other",
    ]


def test_who_agreed_and_what_did_not_count_is_on_the_page() -> None:
    attempt = RefusedAttempt(at=DEADLINE, by="eve", verdict="approve", reason="unknown key")
    said = facts(people=2, about={"approved_by": ("ann",), "refused": (attempt,), "refusals": 3})
    assert said["people"].startswith("1 more of 2")
    assert (said["agreed"], said["not counted"]) == ("ann", "3 so far; the last by eve: unknown key")


def test_a_tool_without_named_sinks_has_all_its_values_listed() -> None:
    assert facts(arguments={"order": "a"}, sources={"order": "model"})["values"] == "order from model"


@pytest.mark.parametrize(
    ("time", "said"),
    [
        (timedelta(days=2, hours=3), "in 2 d 3 h"),
        (timedelta(hours=2, minutes=3), "in 2 h 3 min"),
        (timedelta(seconds=63), "in 1 min 3 s"),
        (timedelta(0), "over"),
        (timedelta(seconds=-5), "over"),
    ],
)
def test_how_long_is_left(time: timedelta, said: str) -> None:
    assert left(time) == said


@pytest.mark.parametrize(
    "space", ["\u2003", "\u00a0", "\u2028", "\u0085", "\x1c", "\x0b", "\u3000", "\u202e"]
)
@pytest.mark.parametrize("around", ["pay{} ann", "{}ann", "pay ann{}", "pay{}ann"])
def test_a_value_in_a_sentence_hides_no_other_space(space: str, around: str) -> None:
    said = sentence_of("pay", None, {"to": around.format(space)})
    assert said != sentence_of("pay", None, {"to": around.format("")})
    assert said != sentence_of("pay", None, {"to": around.format(" ")})
    assert said.isascii()


def test_a_value_in_a_sentence_has_its_line_breaks_as_spaces() -> None:
    assert sentence_of("pay", None, {"to": " ann\r\n\t of  acme "}) == 'pay: to "ann of acme"'
