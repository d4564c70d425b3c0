"""Whoever is named in what a run was started with: found in any spelling, in time that does not matter."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.contracts.identity import Consent
from agentflow.core.named import Named, objection_to_named

ANN, BOB, CY = Consent(by="ann@example.com"), Consent(by="bob"), Consent(by="cy")


@pytest.mark.parametrize(
    "value",
    [
        "Please refund ann@example.com today.",
        "ANN@EXAMPLE.COM",
        "(ann@example.com)",
        "ann@example.com's order",
        "mailto:ann@example.com?subject=x",
        "a\u200bnn@example.com",
        "\u0430nn@ex\u0430mple.com",
        "\uff41nn@example.com",
        {"ann@example.com": 1},
        {"a": [{"b": ["to ann@example.com"]}]},
        "a\u0301nn@example.com",
    ],
    ids=ascii,
)
def test_a_person_is_named_in_any_spelling_and_anywhere_in_the_input(value: object) -> None:
    assert Named.of([value]).names("Ann@example.com")


@pytest.mark.parametrize(
    "value",
    ["Annabel", "joann@example.com", "ann@example.org", "", 7, None, True, {"x": 1.5}, "an n"],
    ids=ascii,
)
def test_a_part_of_a_word_names_nobody(value: object) -> None:
    assert not Named.of([value]).names("ann@example.com")


def test_names_of_several_words_stand_next_to_each_other() -> None:
    assert Named.of(["for Ann   Smith-Jones"]).names("ann smith jones")
    assert not Named.of(["Ann, not Smith"]).names("ann smith")
    assert Named.of([{"first": "Ann", "last": "Smith"}]).names("ann smith")


def test_of_a_name_without_letters_nobody_can_tell() -> None:
    assert Named.of(["hello"]).names("++")


@pytest.mark.parametrize(
    ("consents", "people", "counts"),
    [
        ((ANN,), 1, True),
        ((ANN, BOB), 2, False),
        ((ANN, CY), 2, True),
        ((BOB, Consent(by="cy", on_behalf_of="ann@example.com")), 2, False),
        ((ANN, BOB), 3, True),
        ((ANN, BOB, CY), 3, True),
    ],
)
def test_where_two_are_asked_one_of_them_is_not_named(
    consents: tuple[Consent, ...], people: int, counts: bool
) -> None:
    named = Named.of([{"to": "ann@example.com", "requested_by": "Bob"}])
    assert (objection_to_named(named, consents, people) is None) == counts
    assert objection_to_named(None, consents, people) is None


@given(st.text(st.sampled_from("abc @.\u0430\u200b"), max_size=30), st.sampled_from(["ab", "c@a.b", "a b"]))
def test_a_name_between_spaces_is_found_in_any_text(text: str, name: str) -> None:
    assert Named.of([f"{text} {name} {text}"]).names(name)


@pytest.mark.parametrize(
    "text",
    [
        "\ufdfa" * 85_000,
        "a" + "\u0301\u0316" * 64_000,
        "ann " * 64_000,
        "".join(chr(point) for point in range(0x4E00, 0x9FFF)) * 4,
        "".join(chr(0x1D400 + number % 1000) for number in range(64_000)),
        [["x"] * 1_000] * 60,
    ],
    ids=["ligatures", "marks", "words", "ideographs", "mathematics", "values"],
)
def test_an_input_of_a_quarter_of_a_megabyte_is_looked_through_in_one_go(text: object) -> None:
    began = time.perf_counter()
    named = Named.of([text])
    for _ in range(20):
        named.names("ann@example.com")
    # Not for its speed: a look that grows with the square of the text takes hours.
    assert time.perf_counter() - began < 30


@pytest.mark.parametrize(
    ("text", "person"),
    [
        ("as tim said", "\N{GREEK CAPITAL LETTER TAU}IM"),
        ("\u0410\u043d\u043d\u0430 said", "\u0410\N{MATHEMATICAL SANS-SERIF CAPITAL H}\u041d\u0410"),
    ],
)
def test_a_person_is_found_whose_letters_look_alike_each_in_another_case(text: str, person: str) -> None:
    assert Named.of([text]).names(person)


def test_another_person_in_plain_letters_is_not_found() -> None:
    assert not Named.of(["as ali said"]).names("all")
