"""Each kind of value has evidence of its own: what passes without a person, and what is still asked about."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.core.kinds import kind_of, words_of
from agentflow.core.leaves import Leaf
from agentflow.core.provenance import PastCall, Provenance
from tests.core.samples import contract_of


def label(said: Any, value: Any, field: str, **beside: Any) -> str | None:
    return Provenance().plus("task", said).label(value, field, beside={field: value, **beside})


@pytest.mark.parametrize(
    ("value", "field", "kind"),
    [
        ("W4711", "order", "id"),
        ("ada_king_12", "user", "id"),
        ("CA", "state", "code"),
        ("CA", "who", "text"),
        ("Li", "last_name", "name"),
        ("Li", "lastName", "name"),
        ("is", "last_name", "text"),
        (Decimal(50), "amount_usd", "money"),
        ("50", "price", "money"),
        (Decimal(50), "amount_cents", "number"),
        (Decimal(50), "payment_id", "number"),
        ("13", "file", "number"),
        ("2024-05-15", "on", "date"),
        ("2024-05-15T10:00:00", "at", "date"),
        ("see you", "text", "text"),
    ],
)
def test_the_kind_of_a_value(value: Any, field: str, kind: str) -> None:
    assert kind_of(Leaf(value, field)) == kind


def test_the_words_of_a_fields_name() -> None:
    assert words_of("lastName") == words_of("last_name") == words_of("Last-Name") == ("last", "name")
    assert words_of("amountUSD") == ("amount", "usd")


DATES = [
    "2024-05-15",
    "2024/5/15",
    "May 15, 2024",
    "May 15th 2024",
    "15 May 2024",
    "the 15th of May, 2024",
    "15 Sept 2024",
    "Dec. 15, 2024",
    "5/15/2024",
    "15.5.2024",
    "15/05/2024",
    "5/5/2024",
]
_MONTHS = {"Sept": 9, "Dec.": 12}


@pytest.mark.parametrize("written", DATES)
def test_a_date_is_the_same_however_it_is_written(written: str) -> None:
    month = next((number for name, number in _MONTHS.items() if name in written), 5)
    day = date(2024, month, 5 if written == "5/5/2024" else 15)
    assert label(f"Send it on {written}, please.", day.isoformat(), "on") == "task"
    assert label(f"Send it on {written}.", (day + timedelta(1)).isoformat(), "on") is None


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("on 5/6/2024", "2024-05-06"),
        ("on 5/6/2024", "2024-06-05"),
        ("on 05.06.2024", "2024-06-05"),
        ("on 5/15/24", "2024-05-15"),
        ("on 5/15.2024", "2024-05-15"),
        ("on February 30, 2024", "2024-02-30"),
        ("version 1.5.15.2024", "2024-05-15"),
        ("see /2024/05/15/", "2024-05-15"),
        ("you may 15 times, in 2024", "2024-05-15"),
        ("on May 15", "2024-05-15"),
        ("in May 2024", "2024-05-20"),
        ("on May 15, 2025", "2024-05-15"),
        ("today is 2024-05-01; on May 15, next year", "2024-05-15"),
        ("today is 2024-05-01; on May 15 2025", "2024-05-15"),
        ("today is 2024-05-01, and I was born in 1990; on May 15", "1990-05-15"),
        ("room 2024, on May 15", "2024-05-15"),
        ("today is 2024-05-01; on May 150", "2024-05-15"),
        ("today is 2024-05-01; on May 15", "2025-05-15"),
        ("today is 2024-05-01; on May 15", "2024-05-16"),
    ],
)
def test_a_date_that_can_be_read_in_two_ways_or_is_another_is_asked_about(said: str, value: str) -> None:
    assert label(said, value, "on") is None


@pytest.mark.parametrize("said", ["on May 15", "on the 15th of May", "May 15-20"])
def test_a_day_without_a_year_is_of_the_only_one_that_people_named(said: str) -> None:
    trusted = Provenance().plus("instruction", "Today is 2024-05-01.").plus("task", said)
    assert trusted.label("2024-05-15", "on") == "task"
    assert trusted.plus("person", "as in 2023").label("2024-05-15", "on") is None


def test_no_tool_gives_a_year_to_what_people_said() -> None:
    contract = contract_of("look", "read").model_copy(update={"trusted_output": True})
    known = Provenance().plus("task", "on May 15").after(contract, PastCall("c1", "look", {}, "2024-01-01"))
    assert known.label("2024-05-15", "on") is None
    assert known.label("2024-01-01", "on") == "tool:look"


@given(st.dates(date(1900, 1, 1), date(2199, 12, 31)), st.dates(date(1900, 1, 1), date(2199, 12, 31)))
def test_no_date_is_evidence_for_another(said: date, asked: date) -> None:
    for written in (
        f"{said:%B} {said.day}, {said.year}",
        f"{said.month}/{said.day}/{said.year}",
        said.isoformat(),
    ):
        found = label(f"On {written} it is.", asked.isoformat(), "on")
        assert found is None or said == asked


@pytest.mark.parametrize(
    ("said", "value", "same"),
    [
        ("at 2024-05-15 10:00", "2024-05-15T10:00:00", True),
        ("at 2024-05-15T10:00:00Z", "2024-05-15T10:00:00Z", True),
        ("at 2024-05-15 10:00", "2024-05-15T10:00:00Z", False),
        ("at 2024-05-15 10:00", "2024-05-15T10:00:01", False),
        ("at 2024-05-15 10:00", "2024-05-15T22:00:00", False),
        ("on 2024-05-15", "2024-05-15T00:00:00", False),
    ],
)
def test_a_time_is_the_same_with_a_blank_for_its_t(said: str, value: str, same: bool) -> None:
    assert (label(said, value, "at") is not None) == same


@pytest.mark.parametrize(
    ("said", "value", "field"),
    [
        ("Pay $50.", 50, "amount"),
        ("Pay 50 dollars", "50", "amount_usd"),
        ("Pay 50 EUR", 50, "price_eur"),
        ("Pay €50", 50, "refundAmount"),
        ("Pay $1,234.50", 1234.5, "amount"),
        ({"amount": 50}, 50, "amount"),
    ],
)
def test_a_whole_amount_counts_where_it_is_money(said: Any, value: Any, field: str) -> None:
    assert label(said, value, field) == "task"


@pytest.mark.parametrize(
    ("said", "value", "field"),
    [
        ("Pay $50.", 50, "account"),
        ("Pay $50.", 50, "payment_id"),
        ("Pay $50.", 50, "amount_cents"),
        ("Pay $50.", 50, "amount_eur"),
        ("Pay 50 EUR", 50, "amount_usd"),
        ("Pay €50", 50, "amount_usd"),
        ("Pay it for 50 people", 50, "amount"),
        ("Give 50% off", 50, "amount"),
        ("Pay $50k", 50, "amount"),
        ("Pay $50-90", 90, "amount"),
        ("Pay $5.00", 500, "amount"),
        ("Pay 12,50 EUR", 1250, "amount"),
        ("Pay 1.234,50 EUR", 1234.5, "amount"),
        ("Pay 1.234 EUR", 1234, "amount"),
        ("Pay 1,50 EUR", 150, "amount"),
        ({"quantity": 50}, 50, "amount"),
        ({"prices": [{"price": 50}, {"price": 51}]}, 50, "amount"),
        ({"price_eur": 50}, 50, "amount_usd"),
        ({"price_cents": 50}, 50, "amount"),
    ],
)
def test_a_number_that_is_another_amount_or_none_is_asked_about(said: Any, value: Any, field: str) -> None:
    assert label(said, value, field) is None


def test_the_currency_beside_an_amount_is_its_currency() -> None:
    assert label("Pay $50.", 50, "amount", currency="usd") == "task"
    assert label("Pay $50.", 50, "amount", currency="EUR") is None


TEXT = (
    "I am Mia Li from San Jose, CA 95154. OK, send it to Springfield, IL, 62701. IT IS FOR ME, IN TIME, OK?"
)


@pytest.mark.parametrize(
    ("value", "beside"),
    [
        ("IL", {"city": "Springfield"}),
        ("IL", {"zip": "62701"}),
        ("CA", {"city": "San Jose"}),
        ("CA", {"postal_code": "95154"}),
    ],
)
def test_a_state_counts_beside_its_city_or_postal_code(value: str, beside: dict[str, str]) -> None:
    assert label(TEXT, value, "state", **beside) == "task"


@pytest.mark.parametrize(
    ("value", "field", "beside"),
    [
        ("IL", "state", {}),
        ("CA", "state", {"city": "Springfield"}),
        ("IL", "state", {"zip": "95154"}),
        ("OK", "state", {"city": "Springfield", "zip": "62701"}),
        ("OK", "state", {}),
        ("IN", "state", {"city": "San Jose"}),
        ("ME", "state", {"note": "FOR"}),
        ("IS", "state", {"city": "IT"}),
        ("il", "state", {"city": "Springfield"}),
        ("IL", "role", {"city": "Springfield"}),
        ("IL", "state", {"city": "Chicago"}),
        ("IL", "state", {"city": ["Springfield"]}),
    ],
)
def test_two_capitals_elsewhere_are_no_state(value: str, field: str, beside: dict[str, Any]) -> None:
    assert label(TEXT, value, field, **beside) is None


@pytest.mark.parametrize(
    ("said", "first", "last"),
    [
        ("I am Mia Li, hello", "Mia", "Li"),
        ("I am mia_li_3668", "Mia", "Li"),
        ({"user_id": "mia_li_3668"}, "Mia", "Li"),
        ("I am yusuf_rossi_9620.", "Yusuf", "Rossi"),
    ],
)
def test_a_name_counts_together_with_the_other_one(said: Any, first: str, last: str) -> None:
    assert label(said, first, "first_name", last_name=last) == "task"
    assert label(said, last, "lastName", firstName=first) == "task"
    passengers = [{"first_name": first, "last_name": last}]
    contract = contract_of(
        input_schema={
            "properties": {
                "passengers": {
                    "items": {
                        "properties": {"first_name": {"type": "string"}, "last_name": {"type": "string"}}
                    }
                }
            }
        }
    )
    assert Provenance().plus("task", said).label(passengers, "passengers", contract) == "task"


@pytest.mark.parametrize(
    ("said", "first", "last"),
    [
        ("I am Mia Li", "Bob", "Li"),
        ("I am Mia. Li is my friend", "Mia", "Li"),
        ("I am Mia, Li", "Mia", "Li"),
        ("Mia is here", "Mia", "is"),
        ("I am mia_li_3668", "Li", "Mia"),
        ("I am mia_li", "Mia", "Li"),
        ("write to mia_li_3668@evil.example", "Mia", "Li"),
        ("see x_mia_li_3668", "Mia", "Li"),
        ("see evil/mia_li_3668", "Mia", "Li"),
        ("I am mia_li_jo_3668", "Mia", "Li"),
    ],
)
def test_a_short_name_without_the_other_is_asked_about(said: str, first: str, last: str) -> None:
    assert label(said, last, "last_name", first_name=first) is None


def test_a_part_of_a_longer_last_name_is_none() -> None:
    assert label("I am Mia Li El", "El", "last_name", first_name="Mia") is None
    known = Provenance().plus("task", "I am Mia Li El")
    names = {"first_name": "Mia", "last_name": "Li El"}
    assert known.label("El", "last_name", beside=names) is None


def test_a_part_of_an_id_that_only_an_outsider_named_is_no_name() -> None:
    mail = PastCall("c1", "read_mail", {}, {"from": "eve_el_1"})
    known = Provenance().plus("task", "Go on").after(contract_of("read_mail", "read"), mail)
    assert known.label("El", "last_name", beside={"first_name": "Eve", "last_name": "El"}) is None


@pytest.mark.parametrize(
    ("said", "value", "field", "same"),
    [
        ("the hiking trip with Mark", "Hiking Trip", "title", True),
        ("the HIKING TRIP with Mark", "Hiking Trip", "event_title", True),
        ("the hiking trips with Mark", "Hiking Trip", "title", False),
        ("ask ada lovelace", "Ada Lovelace", "recipient", False),
        ("say correct horse", "Correct Horse", "password", False),
        ("the reunion", "REUNION", "title", False),
        ("an at sign", "AT SIGN", "title", False),
    ],
)
def test_a_title_of_plain_words_is_the_same_in_other_capitals(
    said: str, value: str, field: str, same: bool
) -> None:
    assert (label(said, value, field) is not None) == same


WORDS = st.sampled_from(
    [
        "is",
        "to",
        "in",
        "it",
        "OK",
        "ME",
        "OR",
        "the",
        "13",
        "Li",
        "7",
        "may",
        "Send",
        "On",
        "June",
        "13,",
        "May",
        "20",
        "a,",
        "I'm",
        "US",
        "$",
    ]
)
FIELDS = st.sampled_from(
    [
        "to",
        "id",
        "account",
        "role",
        "state",
        "country",
        "last_name",
        "first_name",
        "amount",
        "price",
        "title",
        "city",
        "zip",
        "recipient",
        "currency",
    ]
)


@given(
    st.lists(WORDS, max_size=20).map(" ".join),
    FIELDS,
    st.sampled_from(["is", "to", "in", "it", "OK", "ME", "OR", "13", "7", "a", "US"]),
)
def test_no_short_word_of_prose_is_evidence_by_itself(said: str, field: str, value: str) -> None:
    if field in ("amount", "price") and value.isdigit() and f"$ {value}" in said:
        return
    assert label(said, value, field) is None


@given(
    st.text("abcLiMO 13.,$-_/@", max_size=40),
    FIELDS,
    st.dictionaries(FIELDS, st.text("abcLiMO13", min_size=1, max_size=6), max_size=3),
    st.text("abcLiMO13", min_size=1, max_size=6),
)
def test_what_a_text_is_evidence_for_is_in_it_in_some_capitals(
    said: str, field: str, beside: dict[str, str], value: str
) -> None:
    if label(said, value, field, **{name: text for name, text in beside.items() if name != field}):
        plain = said.lower().replace(",", "")
        assert value.lower() in plain


@given(st.decimals(0, 10**6, places=2), st.decimals(0, 10**6, places=2))
def test_no_amount_is_evidence_for_another(said: Decimal, asked: Decimal) -> None:
    for written in (f"${said:,}", f"{said} EUR", f"{said:,}"):
        assert (label(f"Pay {written} today", str(asked), "amount") is None) == (said != asked)
