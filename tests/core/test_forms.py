"""What must not leave is found in each form that it may take, one within another."""

import base64
import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.core.known_values import KnownValues
from agentflow.core.redaction import DROPPED, PATTERNS, redacted
from agentflow.core.scrub import scrubbed
from agentflow.core.views import Reach
from benchmarks.attacks.encodings import ENCODINGS, MARKED
from benchmarks.attacks.encodings import LOOKS as SPELLINGS

LOOKS = {**SPELLINGS, "capitals": str.upper}
FORMS = {"card": "4111 1111 1111 1111", "email": "zoe+x@example.org", "iban": "DE89 3704 0044 0532 0130 00"}

values = st.one_of(
    st.sampled_from(MARKED),
    st.text(string.ascii_letters + string.digits + " '\"&+/<>%=@:.-_éßñ", min_size=8, max_size=30)
    .map(str.strip)
    .filter(lambda text: len(text) >= 8),
)


def seen_through(value: str, text: str) -> str:
    return redacted(text, [KnownValues({value: "x"}).find])


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("value", MARKED)
def test_a_value_is_found_in_each_encoding(value: str, encoding: str) -> None:
    assert "[x]" in seen_through(value, f"it was {ENCODINGS[encoding](value)} so")


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("value", MARKED)
def test_a_value_is_found_however_its_characters_are_written(value: str, look: str) -> None:
    assert seen_through(value, f"it was <{LOOKS[look](value)}> so") == "it was <[x]> so"


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("kind", FORMS)
def test_what_is_told_by_its_form_is_found_in_each_encoding(kind: str, encoding: str) -> None:
    assert f"[{kind}]" in redacted(f"it was {ENCODINGS[encoding](FORMS[kind])} so", PATTERNS)


@pytest.mark.parametrize("look", sorted(set(LOOKS) - {"capitals"}))
@pytest.mark.parametrize("kind", FORMS)
def test_what_is_told_by_its_form_is_found_however_its_characters_are_written(kind: str, look: str) -> None:
    assert redacted(f"it was <{LOOKS[look](FORMS[kind])}> so", PATTERNS) == f"it was <[{kind}]> so"


@given(
    values,
    st.lists(st.sampled_from(sorted(ENCODINGS)), min_size=1, max_size=3),
    st.sampled_from(sorted(LOOKS)),
)
def test_encodings_within_one_another_hide_no_value(value: str, encodings: list[str], look: str) -> None:
    text = LOOKS[look](value)
    for encoding in encodings:
        text = ENCODINGS[encoding](text)
    left = seen_through(value, f"it was {text} so")
    assert "[x]" in left or left.startswith(DROPPED)


@given(st.sampled_from(sorted(FORMS)), st.lists(st.sampled_from(sorted(ENCODINGS)), min_size=1, max_size=3))
def test_encodings_within_one_another_hide_nothing_told_by_its_form(kind: str, encodings: list[str]) -> None:
    text = FORMS[kind]
    for encoding in encodings:
        text = ENCODINGS[encoding](text)
    left = redacted(f"it was {text} so", PATTERNS)
    # The digits of an encoding may be a card's by themselves.
    assert f"[{kind}]" in left or "[card]" in left or left.startswith(DROPPED)


@pytest.mark.parametrize("value", MARKED)
def test_a_secret_is_taken_out_of_what_an_outside_system_says_in_each_encoding(value: str) -> None:
    for encode in ENCODINGS.values():
        assert "[secret]" in scrubbed(f"no: {encode(value)} is it", [value])


@pytest.mark.parametrize("unseen", "\u3164\u115f\u17b4\u180b\ufe0f\u2d7f\U000e0100\U000e01ef\u200d\u00ad")
def test_a_value_is_found_through_each_character_that_shows_as_nothing(unseen: str) -> None:
    assert seen_through("Jürgen Weiß", f"it was <{unseen.join('Jürgen Weiß')}> so") == "it was <[x]> so"


@pytest.mark.parametrize("encoding", ["JSON", "HTML", "URL", "base64 of user:password"])
def test_what_is_nested_deeper_than_the_reach_is_withheld_as_a_whole(encoding: str) -> None:
    text = "Jürgen 'Weiß' & \"co\" in 10% of <all> cases"
    for _ in range(7):
        text = ENCODINGS[encoding](text)
    assert redacted(text, PATTERNS) == f"{DROPPED}TooManyFormsError]"
    assert not redacted(text, PATTERNS, Reach(depth=7)).startswith(DROPPED)
    assert scrubbed(text, ["other"]).startswith(DROPPED)


def test_a_text_in_more_ways_than_the_reach_is_withheld_as_a_whole() -> None:
    text = base64.b64encode(json.dumps(["%41 &amp; x" * 1_000]).encode()).decode()
    assert redacted(text, PATTERNS, Reach(times=1)).startswith(DROPPED)
    assert redacted(text, PATTERNS) == text


def test_only_the_token_that_holds_a_value_is_taken_out() -> None:
    token = base64.b64encode(b"ann:hunter2 pw").decode()
    text = f"GET /orders?id=4711&ok=%20 Authorization: Basic {token} and &lt;b&gt; after"
    assert seen_through("hunter2 pw", text) == text.replace(token, "[x]")


@pytest.mark.parametrize(
    "text",
    [
        "C:\\Users\\new\\x 100% & more, a=20 == b, &copy 50%25",
        "0f3a9c" * 10,
        "Internationalisation/Characterisation_of-Misunderstandings",
        json.dumps({"a": {"b": '\n\t"x"', "n": [1, 2]}}, indent=4),
        base64.b64encode(bytes(range(256)) * 20).decode(),
    ],
)
def test_what_holds_nothing_is_left_as_it_is(text: str) -> None:
    assert redacted(text, [KnownValues({"hunter2 pw": "x"}).find, *PATTERNS]) == text


# Each is what some decoder begins with, over and over.
ENDLESS = [
    "\\",
    "%",
    "%4",
    "%41",
    "&",
    "&a",
    "&amp;",
    "&#",
    "=",
    "=3D",
    "\\u",
    "\\x41",
    "\n",
    "+ ",
    "QUJD",
    "e\u0301",
    "\u200b",
]


@pytest.mark.parametrize("part", ENDLESS)
def test_a_long_text_is_looked_through_in_time_that_grows_as_its_length(part: str) -> None:
    # A decoder that reads a part again for each beginning would take hours for these.
    text = part * (200_000 // len(part))
    assert scrubbed(text, ["hunter2 pw"])
