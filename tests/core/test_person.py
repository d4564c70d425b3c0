"""Names: what is refused, what is one person, what is the same name."""

import hashlib
import time
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from agentflow.contracts.person import MAX_NAME, Name, fault_of, refused_as
from agentflow.core.person import (
    _PROTOTYPES,
    beyond,
    folded,
    has_one_of,
    look_alikes,
    readings,
    same_name,
    same_person,
    settled,
    speaks_for,
)

NAME: TypeAdapter[str] = TypeAdapter(Name)
IN_NAMES = [chr(point) for point in range(0x110000) if not refused_as(chr(point))]

names = st.text(st.sampled_from("anoclir m@.-") | st.sampled_from(IN_NAMES), min_size=1, max_size=20).filter(
    lambda name: fault_of(name) is None
)

SPELLINGS: dict[str, Callable[[str], str]] = {
    "upper": str.upper,
    "lower": str.lower,
    "title": str.title,
    "NFC": lambda name: unicodedata.normalize("NFC", name),
    "NFD": lambda name: unicodedata.normalize("NFD", name),
    "NFKC": lambda name: unicodedata.normalize("NFKC", name),
    "NFKD": lambda name: unicodedata.normalize("NFKD", name),
    "spaces": lambda name: "  " + name.replace(" ", "\u3000 ") + " ",
}


@pytest.mark.parametrize(
    ("char", "kind"),
    [
        ("\u200b", "invisible format"),
        ("\u200d", "invisible format"),
        ("\u202e", "invisible format"),
        ("\u2066", "invisible format"),
        ("\ufeff", "invisible format"),
        ("\u00ad", "invisible format"),
        ("\U000e0061", "invisible format"),
        ("\ufe0f", "default-ignorable"),
        ("\u034f", "default-ignorable"),
        ("\u115f", "default-ignorable"),
        ("\u3164", "default-ignorable"),
        ("\u17b4", "default-ignorable"),
        ("\U000e01ef", "default-ignorable"),
        ("\x00", "control"),
        ("\t", "control"),
        ("\n", "control"),
        ("\x85", "control"),
        ("\u2028", "separator"),
        ("\ue000", "private-use"),
        ("\U0010fffd", "private-use"),
        ("\ud800", "surrogate"),
        ("\ufdd0", "noncharacter"),
        ("\U0010ffff", "noncharacter"),
        ("\u0378", "not assigned"),
        ("\U0001dfff", "not assigned"),
        ("\ua7ce", "not assigned"),
        ("\u2800", "symbol"),
    ],
)
def test_what_can_not_be_seen_is_refused_by_its_code_point(char: str, kind: str) -> None:
    fault = fault_of(f"an{char}n")
    assert fault is not None
    assert f"U+{ord(char):04X} as character 3" in fault
    assert kind in fault


def test_no_character_is_in_names_that_this_python_takes_for_one_that_is_not() -> None:
    hidden = {"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"}
    assert [char for char in IN_NAMES if unicodedata.category(char) in hidden] == []


@pytest.mark.parametrize("name", ["", " ", "\u3000\u00a0", "x" * (MAX_NAME + 1)])
def test_a_name_has_something_in_it_and_an_end(name: str) -> None:
    assert fault_of(name) is not None
    with pytest.raises(ValidationError):
        NAME.validate_python(name)


@pytest.mark.parametrize(
    "name",
    [
        "ann",
        "Ann O'Neil",
        "ann@example.com",
        "José",
        "Владимир",
        "李小龙",
        "أحمد",
        "דוד",
        "Zoë-Ørsted",
        "R&D",
    ],
)
def test_people_may_have_their_names(name: str) -> None:
    assert NAME.validate_python(name) == name
    assert same_person(name, name)


def test_every_pair_of_the_confusables_is_one_person_alone_and_within_a_name() -> None:
    assert len(_PROTOTYPES) > 4_500
    for point, prototype in _PROTOTYPES.items():
        assert same_person(chr(point), prototype), hex(point)
        assert same_person(f"Ab{chr(point)}Cd", f"aB{prototype}cD"), hex(point)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ann", "\u0430nn"),
        ("mia", "rnia"),
        ("ann1", "annl"),
        ("annI", "annl"),
        ("0tto", "otto"),
        ("bob", "\u0412ob"),
        ("BOB", "\u0412\u041e\u0412"),
        ("scope", "\u0455\u0441\u043e\u0440\u0435"),
        ("ida", "i\u0307da"),
        ("\u00e1nn", "\u00e1\u0301nn"),
        ("\uff41nn", "ANN"),
        ("ann-1", "ann\u20101"),
        ("\u05d3\u05d51", "1\u05d3\u05d5"),
        ("stra\u00dfe", "STRASSE"),
    ],
)
def test_what_looks_alike_is_one_person(one: str, other: str) -> None:
    assert same_person(one, other)
    assert same_person(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [("ann", "anna"), ("ann", "nan"), ("dan", "dav"), ("ali", "all"), ("sam", "fam"), ("\u00e1nn", "ann")],
)
def test_people_who_look_different_are_different(one: str, other: str) -> None:
    assert not same_person(one, other)


@given(names, st.sampled_from(sorted(SPELLINGS)))
def test_another_spelling_is_the_same_person(name: str, spelling: str) -> None:
    assert same_person(name, SPELLINGS[spelling](name))


@given(names)
def test_a_reading_does_not_change_when_it_is_read_again(name: str) -> None:
    for reading in readings(name):
        if not reading.startswith("\n"):
            assert settled(reading) == reading
    assert folded(folded(name)) == folded(name)


@given(st.text(st.characters(), max_size=12), st.integers(0, 2), st.data())
def test_no_character_that_can_not_be_seen_gets_into_a_name(text: str, at: int, data: st.DataObject) -> None:
    hidden = data.draw(st.characters().filter(lambda char: refused_as(char) is not None))
    with pytest.raises(ValidationError):
        NAME.validate_python(text[:at] + hidden + text[at:])


@given(names, names)
def test_the_same_name_is_the_same_person(one: str, other: str) -> None:
    assert same_person(one, other) or not same_name(one, other)


def test_a_key_speaks_for_those_it_names_and_not_for_who_looks_like_them() -> None:
    assert speaks_for(["Ann@example.com"], "ann@EXAMPLE.com")
    assert speaks_for(["*@example.com"], "Eve@Example.com")
    assert speaks_for(["*"], "anybody")
    assert not speaks_for(["ann@example.com"], "\u0430nn@example.com")
    assert not speaks_for(["*@example.com"], "eve@ex\u0430mple.com")
    assert not speaks_for(["*@example.com"], "eve@notexample.com")


def test_roles_are_the_same_or_not_there() -> None:
    assert has_one_of(["Finance"], ["finance", "legal"])
    assert not has_one_of(["fin\u0430nce"], ["finance"])
    assert beyond(["Finance", "cfo"], ["finance"]) == ["cfo"]


def test_two_names_that_only_look_alike_are_found_among_many() -> None:
    assert look_alikes(["finance", "Finance", "legal"]) is None
    assert look_alikes(["legal", "finance", "fin\u0430nce"]) == ("'finance'", "'fin\\u0430nce'")


def test_names_are_compared_without_trying_all_their_readings() -> None:
    hard = ["\ufdfa" * MAX_NAME, "a" + "\u0301\u0316" * 99, "\u0430" * MAX_NAME, "\u05d0a" * 100]
    began = time.perf_counter()
    for name in hard:
        readings.__wrapped__(name)
    # Not for its speed: trying every reading of every letter would never end.
    assert time.perf_counter() - began < 30


def test_what_a_name_is_compared_as_is_the_same_on_every_python() -> None:
    # A replay on another Python must come to the same. Of 3.11 (Unicode 14.0), 3.12 (15.0) and 3.13 (15.1).
    digest = hashlib.sha256()
    for char in IN_NAMES:
        digest.update(repr(sorted(readings.__wrapped__(f"x{char}y"))).encode())
    assert digest.hexdigest() == "37e7dba65817183a2ad26ed8af3a4eb06df33feeb280c744efd05096388a93d7"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("tim", "\N{GREEK CAPITAL LETTER TAU}IM"),
        ("tim", "T\N{CYRILLIC LETTER PALOCHKA}M"),
        ("tim", "TlM"),
        ("Cashier", "Cash1er"),
        ("marta mill", "MAR\N{GREEK CAPITAL LETTER TAU}A MI\N{MATHEMATICAL ITALIC CAPITAL L}L"),
        ("Ольга Иванова", "Ольга Иᏼаᵸова"),
    ],
)
def test_letters_may_look_alike_each_in_another_case(one: str, other: str) -> None:
    assert same_person(one, other)
    assert same_person(other, one)


def test_names_in_any_letters_are_compared_without_trying_all_their_readings() -> None:
    began = time.monotonic()
    for one, other in (
        ("\u0131" * 200, "l" * 200),
        ("M" * 199, "rn" * 99),
        ("\u2474" * 60, "(L)" * 60 + "x"),
    ):
        same_person(one, other)
    assert time.monotonic() - began < 30
