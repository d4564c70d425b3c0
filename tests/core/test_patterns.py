"""Cards, IBANs, social security numbers, addresses and keys, told by their form."""

from string import ascii_uppercase, digits

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.core.patterns import find_patterns, is_iban, is_luhn
from agentflow.core.redaction import PATTERNS, redacted

AROUND = st.sampled_from(["", " ", "(", '"', ", and", "\n", ": ", "=", "Ü "])


@st.composite
def cards(draw: st.DrawFn) -> str:
    body = draw(st.sampled_from("23456")) + draw(st.text(digits, min_size=11, max_size=17))
    check = next(digit for digit in digits if is_luhn(body + digit))
    number, separator = body + check, draw(st.sampled_from(["", " ", "-"]))
    return separator.join(number[place : place + 4] for place in range(0, len(number), 4))


@st.composite
def ibans(draw: st.DrawFn) -> str:
    country, length = draw(st.sampled_from([("DE", 22), ("NO", 15), ("MT", 31), ("GB", 22), ("BE", 16)]))
    body = draw(st.text(ascii_uppercase + digits, min_size=length - 4, max_size=length - 4))
    number = next(
        f"{country}{check:02}{body}" for check in range(2, 99) if is_iban(f"{country}{check:02}{body}")
    )
    separator = draw(st.sampled_from(["", " "]))
    written = separator.join(number[place : place + 4] for place in range(0, len(number), 4))
    return draw(st.sampled_from([written, written.lower()]))


@given(AROUND, cards(), AROUND)
def test_a_card_is_found_with_any_separators(before: str, card: str, after: str) -> None:
    assert card not in redacted(before + card + after, PATTERNS)


@given(AROUND, ibans(), st.sampled_from(["", ".", " PLEASE", " TO ME", "\n"]))
def test_an_iban_is_found_and_words_behind_it_are_no_part(before: str, iban: str, after: str) -> None:
    assert redacted(before + iban + after, PATTERNS) == f"{before}[iban]{after}"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("078-05-1120", "ssn"),
        ("078 05 1120", "ssn"),
        ("rita.o'hara+x@mail.example.org", "email"),
        ("+49 (30) 901820-15", "phone"),
        ("+15551234567", "phone"),
        ("AKIA" + "ABCDEFGHIJKLMNOP", "api_key"),
        ("ghp_" + "a1B2" * 9, "api_key"),
        ("sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc", "api_key"),
        ("sk-ant-api03-" + "x" * 80, "api_key"),
        ("xoxb-" + "123456789012-abcdefghijkl", "api_key"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc_-123", "api_key"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc=\n-----END RSA PRIVATE KEY-----", "api_key"),
    ],
)
def test_a_value_of_a_known_form_is_found(text: str, kind: str) -> None:
    assert redacted(f"so: {text} is it", PATTERNS) == f"so: [{kind}] is it"


def test_a_password_in_a_url_is_found() -> None:
    assert redacted("postgres://app:hunter2@db/x", PATTERNS) == "postgres://[api_key]@db/x"


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112",
        "order 2026-11-26T10:00:00.123456Z",
        "pi_3Nf4XqLkdIwHu7ix0abcdEFG",
        "000-12-3456",
        "666-12-3456",
        "DE00 3704 0044 0532 0130 00",
        "0f3a9c" * 10,
        "$12.00 of 1,200.50",
        "a@b",
    ],
)
def test_what_only_looks_like_one_is_left(text: str) -> None:
    assert redacted(text, PATTERNS) == text


# Each is what some pattern begins with, over and over.
ENDLESS = [
    "a",
    "1",
    "1 ",
    "A1",
    "DE12",
    "+1",
    "eyJa",
    "-----BEGIN PRIVATE KEY-----",
    "a.@",
    "://a",
    "sk-",
    "1-",
    "a@a.",
]


@pytest.mark.parametrize("part", ENDLESS)
def test_a_long_text_is_read_in_time_that_grows_as_its_length(part: str) -> None:
    # A pattern that reads a part again for each beginning would take hours for these.
    assert sum(1 for _ in find_patterns(part * (200_000 // len(part)))) >= 0
