"""What is shown is what is there: each code point is seen, or written out."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.core.visible import MAX_MARKS, visible, visible_line
from agentflow.core.visible_characters import RUNS
from tests.core.record_visible import BLANK

# Default_Ignorable_Code_Point, as DerivedCoreProperties-17.0.0.txt has it.
IGNORABLE = {
    point
    for first, last in [
        (0xAD, 0xAD),
        (0x34F, 0x34F),
        (0x61C, 0x61C),
        (0x115F, 0x1160),
        (0x17B4, 0x17B5),
        (0x180B, 0x180F),
        (0x200B, 0x200F),
        (0x202A, 0x202E),
        (0x2060, 0x206F),
        (0x3164, 0x3164),
        (0xFE00, 0xFE0F),
        (0xFEFF, 0xFEFF),
        (0xFFA0, 0xFFA0),
        (0xFFF0, 0xFFF8),
        (0x1BCA0, 0x1BCA3),
        (0x1D173, 0x1D17A),
        (0xE0000, 0xE0FFF),
    ]
    for point in range(first, last + 1)
}
UNSEEN = IGNORABLE | BLANK.keys()
EVERY = [chr(point) for point in range(0x110000)]


def is_seen(char: str) -> bool:
    """Whether this Python's Unicode says that a character has a shape."""
    return unicodedata.category(char)[0] in "LMNPS" and ord(char) not in UNSEEN


def is_unknown(char: str) -> bool:
    """Whether it is assigned in the table's Unicode only."""
    return unicodedata.category(char) == "Cn" and ord(char) not in IGNORABLE


def test_each_code_point_is_shown_as_itself_where_it_has_a_shape_and_written_out_where_it_has_none() -> None:
    for char in EVERY:
        shown = visible(f"x{char}")[1:]
        if is_seen(char) or char in " \n\t":
            assert shown == char, hex(ord(char))
        elif not is_unknown(char):
            assert json.loads(f'"{shown}"') == char, hex(ord(char))
            assert shown.isascii()
            assert len(shown) > 1


def test_the_table_knows_each_code_point() -> None:
    assert sum(int(run[:-1], 16) for run in RUNS.split()) == len(EVERY)
    assert not {run[-1] for run in RUNS.split()} - set("vm-")


@pytest.mark.parametrize(
    "char", "\u3164\u2800\uffa0\ufe0f\u034f\u17b4\u180b\u2028\u00a0\u115f\u200d\u202e\U000e0041\ue000\ufffc"
)
def test_what_passes_for_nothing_is_written_out(char: str) -> None:
    assert visible(f"9{char}00").isascii()


@given(st.text())
def test_what_is_shown_is_in_the_text_or_is_an_escape_of_it_and_is_shown_the_same_again(text: str) -> None:
    shown = visible(text)
    assert visible(shown) == shown
    assert all(is_seen(char) or char in " \n\t" or is_unknown(char) for char in shown)


@given(st.text())
def test_json_that_is_shown_stays_the_same_json(text: str) -> None:
    assert json.loads(visible(json.dumps([text], ensure_ascii=False))) == [text]


@given(st.text())
def test_a_line_stays_one(text: str) -> None:
    assert len(visible_line(text).splitlines()) <= 1


@pytest.mark.parametrize(
    "text",
    [
        "Zoë",
        "Zoe\u0308",
        "żółć",
        "日本語",
        "عَرَبِيّ",
        "हिन्दी",
        "ภาษาไทย",
        "བོད་སྐད",
        "€ 10 → ✓",
        "🙂👍🏽",
        "½ 3²",
        "Việt",
    ],
)
def test_letters_and_signs_of_every_script_stay_with_their_marks(text: str) -> None:
    assert visible(text) == text
    assert visible(unicodedata.normalize("NFD", text)) == unicodedata.normalize("NFD", text)


@pytest.mark.parametrize("before", ["", " ", "\n", '"', "\u200b"])
def test_a_mark_with_nothing_to_stand_on_is_written_out(before: str) -> None:
    assert visible(f"{before}\u0301").isascii()


def test_marks_that_would_cover_other_lines_are_written_out() -> None:
    shown = visible("a" + "\u0301" * 50)
    assert shown.count("\u0301") == MAX_MARKS
    assert shown.count("\\u0301") == 50 - MAX_MARKS
