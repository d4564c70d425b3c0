"""Patterns of schemas mean what ECMA-262 says, and take linear time or are refused."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.core.ecma_pattern import MAX_PATTERN, PatternError, compiled, states_of

MEANINGS = [
    (r"^\d+$", ["0", "42"], ["", "4x", "٣", "42\n"]),
    (r"^\w+$", ["a_Z9"], ["é", "a-b"]),
    (r"^\W$", ["é", "-"], ["a", "_"]),
    (r"^\s$", [" ", "\ufeff", "\u00a0", "\u2028", "\t"], ["a", "\u200b"]),
    (r"^\S$", ["a", "\x1c", "\x85"], [" ", "\u3000"]),
    (r"^.$", ["a", "\x85", "😀"], ["\n", "\r", "\u2028", "\u2029"]),
    (r"^[^]$", ["\n", "a"], [""]),
    (r"a[]", [], ["a", "a]"]),
    (r"\bid\b", ["the id.", "id", "éid"], ["idea", "_id"]),
    (r"^[\w.-]+@[\w-]+\.[a-z]{2,}$", ["a.b-c@x-y.org"], ["a@b", "@x.org"]),
    (r"^[a-c-e]+$", ["a-e", "b"], ["d"]),
    (r"^[-a]$", ["-", "a"], ["b"]),
    (r"^[a\-z]$", ["-", "a", "z"], ["b"]),
    (r"^[\d-x]+$", ["1-x"], ["a"]),
    (r"^[a&&b]$", ["&"], ["ab"]),
    (r"^[[\]^]+$", ["[]^"], ["a"]),
    (r"^[^\D]$", ["5"], ["x"]),
    (r"^[\s\S]$", ["\n"], [""]),
    (r"^[\b]$", ["\b"], ["b"]),
    (r"^\/v1\/.*$", ["/v1/x"], ["v1"]),
    (r"^\u00e9\x41$", ["éA"], ["eA"]),
    (r"^\uD83D\uDE00$", ["😀"], ["😁"]),
    (r"^\u{1F600}$", ["😀"], ["u"]),
    (r"^\cJ$", ["\n"], ["cJ"]),
    (r"^\p{Lu}\P{Lu}$", ["Éa"], ["éa"]),
    (r"^\p{Script=Greek}+$", ["αβ"], ["ab"]),
    (r"^{x}$", ["{x}"], ["x"]),
    (r"^a{,3}$", ["a{,3}"], ["aa"]),
    (r"^(?:ab){2}$", ["abab"], ["ab"]),
    (r"^(?<year>\d{4})$", ["2026"], ["26"]),
    (r"^(?P<year>\d{4})$", ["2026"], ["26"]),
    (r"^(?i)abc$", ["ABC"], ["ab"]),
    (r"\Aab\Z", ["ab"], ["ab\n", "xab"]),
    (r"^a+?b??$", ["aa", "ab"], ["b"]),
    (r"^~#&\-<>=!@%',`\" ;:$", ["~#&-<>=!@%',`\" ;:"], []),
    ("", ["", "a"], []),
    ("a|^b$", ["xa", "b"], ["bb"]),
]
"""A pattern, texts in which it is found, and texts in which it isn't: ECMA-262 with its ``u`` flag."""


@pytest.mark.parametrize(("pattern", "found", "missed"), MEANINGS, ids=[pattern for pattern, *_ in MEANINGS])
def test_a_pattern_means_what_ecma_262_says(pattern: str, found: list[str], missed: list[str]) -> None:
    test = compiled(pattern)
    assert [text for text in found if not test(text)] == []
    assert [text for text in missed if test(text)] == []


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("^(?!x)a", "looks ahead"),
        ("a(?=b)", "looks ahead"),
        ("(?<=a)b", "looks back"),
        ("(?<!a)b", "looks back"),
        (r"(a)\1", "refers back"),
        (r"(?<x>a)\k<x>", "refers back"),
        ("(?>a)", "atomic group"),
        ("a*+", "quantifier after a quantifier"),
        ("a{2}{3}", "quantifier after a quantifier"),
        ("(?x: a)", "doesn't know"),
        (r"\y", "doesn't know"),
        (r"\01", "refers back"),
        (r"\uD83D", "half a character"),
        ("[a", "nothing closes"),
        ("(a", "unclosed group"),
        ("a)", "unopened group"),
        ("*a", "missing expression"),
        ("[b-a]", "range"),
        (r"\p{Nope}", "property"),
        ("a\\", "ends with"),
        ("(a{1,1000}){1,1000}", "exceeds size limit"),
        ("a" * (MAX_PATTERN + 1), f"{MAX_PATTERN:,} are the most"),
    ],
)
def test_what_can_not_be_tested_in_linear_time_or_is_no_pattern_is_refused(
    pattern: str, problem: str
) -> None:
    with pytest.raises(PatternError, match=problem) as refused:
        compiled(pattern)
    assert "leave the pattern out of the schema" in str(refused.value)


@pytest.mark.parametrize(
    "pattern", ["^(a+)+$", "^(a|aa)+$", "^(a|a?)+$", "(x+x+)+y", r"^(\w+\s?)*$", "(.*a){20}$"]
)
def test_what_takes_others_for_ever_is_answered(pattern: str) -> None:
    assert not compiled(pattern)("a" * 50_000 + "x" * 50_000 + "!\n")


def test_a_text_that_is_no_unicode_fits_no_pattern() -> None:
    assert not compiled("^.*$")("\ud800")


simple = st.recursive(
    st.sampled_from(
        [*string.ascii_letters[:4], "0", ".", r"\.", "[ab]", "[^a]", "[a-c]", r"\x61", "-", "/", "é"]
    ),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"(?:{pair[0]}|{pair[1]})"),
        inner.map(lambda one: f"(?:{one})*"),
        inner.map(lambda one: f"({one})?"),
        inner.map(lambda one: f"(?:{one}){{1,2}}"),
    ),
    max_leaves=6,
)
"""Patterns that mean the same to Python, on texts without line ends."""


@given(simple, st.text(alphabet="abcdABé0./-", max_size=8))
def test_what_means_the_same_in_python_is_found_in_the_same_texts(pattern: str, text: str) -> None:
    assert compiled(f"^(?:{pattern})$")(text) == bool(re.search(rf"^(?:{pattern})\Z", text))


@given(st.text(alphabet=r"ab01.*+?{},()[]\^$|-&~/dDwWsSbBuxcpP<>=!:k", max_size=12), st.text(max_size=6))
def test_any_text_is_a_pattern_or_is_refused(pattern: str, text: str) -> None:
    try:
        test = compiled(pattern)
    except PatternError:
        return
    assert test(text) in (True, False)


@pytest.mark.parametrize(
    ("pattern", "states"),
    [
        ("", 1),
        ("^abc$", 3),
        (r"[a-z]\d\.", 3),
        ("a{10}", 10),
        ("a{2,10}b", 11),
        ("a{10,}", 10),
        ("(ab){10}", 30),
        ("((a{10}){10}){10}", 1_110),
        ("(?i)a(?:b|c){3}", 10),
        ("^.{0,4000}$", 1),
        (r"^[^\]]{0,4000}$", 1),
        ("^.{0,4000}", 4_000),
        ("^.{0,40}.{0,40}$", 80),
    ],
)
def test_states_are_counted_as_if_counts_were_written_out(pattern: str, states: int) -> None:
    assert states_of(pattern) == states
