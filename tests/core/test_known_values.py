"""A value that was marked once is found wherever it turns up."""

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.core.folding import as_folded
from agentflow.core.known_values import MAX_KNOWN, MAX_TOLD, KnownValues
from agentflow.core.redaction import MAX_SCANNED, map_texts, redacted
from agentflow.core.tags import Tagged


def knowing(*values: object) -> KnownValues:
    return KnownValues().plus(Tagged("x", value, ()) for value in values)


def clean(text: str, *values: object) -> str:
    return redacted(text, [knowing(*values).find])


@given(st.text(min_size=4, max_size=60), st.text(max_size=40), st.text(max_size=40))
def test_a_value_is_found_in_any_text(value: str, before: str, after: str) -> None:
    needle = value.strip()
    # What shows as nothing makes no value longer: one that is short without it counts as a word only.
    if len(as_folded(needle)) >= 4:
        assert needle not in clean(before + value + after, value).replace("[x]", "")


@given(st.text(min_size=4, max_size=60).filter(lambda text: len(text.strip()) >= 4))
def test_a_value_is_found_as_json_urls_and_basic_authentication_write_it(value: str) -> None:
    value = value.strip()
    data = value.encode(errors="surrogatepass")
    for form in (json.dumps(value)[1:-1], quote(data, safe=""), base64.b64encode(data).decode()):
        assert form not in clean(f"<{form}>", value)


def test_capitals_and_line_breaks_hide_nothing() -> None:
    assert clean("for ANNA\nMeier.", "Anna Meier") == "for [x]."


def test_a_number_is_found_with_other_separators_and_not_within_the_digits_of_a_longer_gap() -> None:
    assert clean("call 555.123-4567 now", "(555) 123 4567") == "call [x] now"
    assert clean("555 or 1234567", "5551234567") == "555 or 1234567"


@pytest.mark.parametrize(
    ("text", "value", "left"),
    [
        ("Li and Limit", "Li", "[x] and Limit"),
        ("a cat", "a", "a cat"),
        ("room 42, 420", 42, "room 42, 420"),
        ("order 4711", 4711, "order [x]"),
        ("true or false", True, "true or false"),
    ],
)
def test_a_short_value_counts_as_a_word_and_the_shortest_not_at_all(
    text: str, value: object, left: str
) -> None:
    assert clean(text, value) == left


def test_a_value_that_is_a_part_of_another_is_no_way_around_it() -> None:
    assert clean("anna.meier@example.org", "anna", "anna.meier@example.org") == "[x]"


def test_a_long_value_is_found_whole() -> None:
    value = " ".join(f"word{number}" for number in range(1_500))
    assert "word" not in clean(f"<{value}>", value)


def test_a_value_that_the_end_of_what_is_looked_at_cuts_in_two_is_dropped() -> None:
    value = "0123456789abcdef" * 20
    left = clean("z" * (MAX_SCANNED - 100) + value, value)
    assert value[:20] not in left
    assert left.endswith("more]")


def test_names_of_fields_and_numbers_are_texts_as_well() -> None:
    told = map_texts({"a@b.org": [4711, 3, None, True]}, lambda text: clean(text, "a@b.org", 4711))
    assert told == {"[x]": ["[x]", 3, None, True]}


def test_a_finder_that_fails_drops_the_text() -> None:
    def fails(text: str) -> list[object]:
        raise ValueError(text)

    assert redacted("hunter2", [fails]) == "[dropped: ValueError]"  # type: ignore[list-item]


def test_with_too_many_values_nothing_is_known_any_more_but_that() -> None:
    known = knowing(*(f"value-{number}" for number in range(MAX_KNOWN + 1)))
    assert known.is_full
    assert known.told().is_full


def test_activities_are_told_the_values_or_that_there_are_more() -> None:
    few, many = knowing("a@b.org"), knowing(*(f"v{number}" * 100 for number in range(MAX_TOLD // 100)))
    assert KnownValues.of(few.told()).kinds == few.kinds
    assert KnownValues.of(many.told()).is_full
    assert not KnownValues.of(None).kinds
