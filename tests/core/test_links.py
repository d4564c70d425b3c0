import base64
import html
import json
import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.core.links import MAX_LINKS, MAX_TEXT, links, unknown_links
from benchmarks.attacks.encodings import ENCODINGS as SEEN_THROUGH
from tests.core.strategies import any_text

KNOWN = ("https://acme.com/help", "https://acme.com", "www.acme.com", "ada@acme.com", "+1-555-0100")


def unknown(text: str) -> tuple[str, ...]:
    """Where the known ones are all that a text may name."""
    return unknown_links(text, lambda link: link in KNOWN)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see http://evil.com/x?a=b.", ("http://evil.com/x?a=b",)),
        ("full width \uff45vil\uff0ecom", ("evil.com",)),
        ("in\u200bvisible e\u200bvil.com", ("evil.com",)),
        ('<a href="https://evil.com">', ("https://evil.com",)),
        ("mail me@evil.co.uk or ftp://x/y", ("me@evil.co.uk", "ftp://x/y")),
        ("at 10.0.0.1:80", ("10.0.0.1:80",)),
        ("пример.рф/вход", ("пример.рф/вход",)),
        ("That is 3.50, e.g. v2. Fine", ()),
    ],
)
def test_the_places_that_a_text_names(text: str, found: tuple[str, ...]) -> None:
    assert links(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "https://acme.com/help",
        "See https://acme.com/help, or (https://acme.com).",
        '<a href="https://acme.com/help">Help</a>',
        "<a href='https://acme.com/help'>Help</a>",
        "<https://acme.com/help>",
        "“https://acme.com/help”",
        "www.acme.com…",
        'Write to "ada@acme.com" or <ada@acme.com>, mailto:ada@acme.com',
        "Email:ada@acme.com tel:+1-555-0100",
        "[Help](https://acme.com/help).",
    ],
)
def test_a_known_place_is_known_as_people_and_pages_write_it(text: str) -> None:
    assert unknown(text) == ()


@pytest.mark.parametrize(
    "text",
    [
        "Re:invent, Total:45.00, at 12:30 or 12:30:45; Friday:10:00-11:30",
        "either/or, and/or; a//b // a comment",
        "@alice: 3@4.50 each",
        "C:\\Users\\ada",
        "これはペンです。ありがとうございます。よろしくお願いします。",
        "价格是四十五。请在星期五之前付款。",
        "Fine. Thanks! 3.50, e.g. v2, 1.2.3 [12:30] {a: 1}",
        "100% & more; 50%20",
    ],
)
def test_words_that_name_no_place_are_none(text: str) -> None:
    assert links(text) == ()


SPELLINGS = [
    # User information before the host.
    "https://acme.com@evil.example",
    "https://acme.com:443@evil.example",
    "https://acme.com%2f@evil.example",
    "ada@acme.com@evil.example",
    "ada:x@evil.example/p",
    "@evil.example",
    # A quote, a bracket or a space within, at which some readers stop.
    'https://acme.com"@evil.example',
    "https://acme.com'@evil.example",
    "https://acme.com<@evil.example",
    "<https://acme.com>@evil.example",
    "https://acme.com`@evil.example",
    "https://acme.com\u00a0@evil.example",
    "https://acme.com\u3000@evil.example",
    'https://acme.com/help"/../../eve',
    'https://acme.com"\\@evil.example',
    'ada@acme.com"@evil.example',
    '"ada x"@evil.example',
    'href="https://acme.com\n@evil.example"',
    "href='https://acme.com\t.evil.example'",
    'href = "\nhttps://acme.com @evil.example"',
    "[x](<https://acme.com @evil.example>)",
    # Dots that IDNA maps to one.
    "evil\u3002example",
    "evil\uff0eexample",
    "evil\uff61example",
    "www\u3002evil\uff61example/x",
    "evil\u2024example",
    "evil\u3002com。これは文です。",
    # What no reader sees.
    *(
        f"www.ac{ignored}me.com"
        for ignored in "\u00ad\u034f\u115f\u17b4\u180b\u200b\u200d\u2060\u3164\ufe0f\uffa0"
    ),
    "https://acme.com/\u200bhelp",
    "https://acme\U000e0041.com",
    # Letters that are mapped.
    "https://acme.c\u2134m",
    "https://\uff41cme.com",
    "www.\U0001d41acme.com",
    "\u24d4vil.example",
    # Slashes.
    "https:evil.example",
    "https:/evil.example",
    "https:\\\\evil.example",
    "https:\\/evil",
    "//evil",
    "//evil.example/x",
    "\\\\evil\\share",
    "\\\\evil.example@SSL\\share",
    "\\\\?\\UNC\\evil\\share",
    "\\/evil",
    "file:\\\\evil\\share",
    "smb://evil/share",
    # Schemes.
    "tel:+1-555-0199",
    "tel:+1-555-0100;ext=9,eve",
    "sms:+15550199?body=x",
    "mailto:eve@evil.example",
    "mailto:ada@acme.com?bcc=eve@evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "VBScript:x",
    "view-source:https://acme.com",
    "bitcoin:1BoatSLRHtKNngkdXEeobR76b53LETtpyT",
    "myapp:pay?to=eve",
    "xhttps://evil",
    # Addresses.
    "http://2130706433",
    "http://0x7f.1",
    "http://[::1]/",
    "[2001:db8::1]:80",
    "192.0.2.7",
    "https://%65vil.example",
    "https://xn--e1awd7f.example",
    "evil.xn--p1ai",
    "root@localhost",
    "eve@[192.0.2.7]",
    # Hosts that nobody reads alike.
    "https://acme.com:x/",
    "https://acme.com|evil",
    "https://[acme.com",
    "https://ac\U0001fae8me.com",
    "evil\U0001fae8.com",
    "evil\U0001f600.com",
]


@pytest.mark.parametrize("text", SPELLINGS)
def test_no_spelling_hides_a_place_or_passes_for_a_known_one(text: str) -> None:
    assert unknown(text)
    assert unknown(f"Dear Ada, see https://acme.com/help or {text} and ada@acme.com.")


ENCODINGS = {
    "html": lambda text: html.escape(text).replace(":", "&#58;").replace("/", "&sol;").replace(".", "&#x2e;"),
    "json": lambda text: "".join(f"\\u{ord(char):04x}" if char in ":/.@" else char for char in text),
    "json slashes": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "url": lambda text: quote(text, safe="").replace(".", "%2E"),
    "markdown": lambda text: text.replace(":", "\\:").replace(".", "\\.").replace("@", "\\@"),
}
encodings = st.lists(st.sampled_from(sorted(ENCODINGS)), max_size=3)


@given(st.sampled_from(["https://evil.example/x", "evil.example", "eve@evil.example", "//evil/x"]), encodings)
def test_a_place_is_found_in_whatever_encodings_up_to_three_deep(place: str, names: list[str]) -> None:
    text = place
    for name in names:
        text = ENCODINGS[name](text)
    assert unknown(text)


@given(any_text, any_text)
def test_a_place_is_found_whatever_stands_before_and_after_it(before: str, after: str) -> None:
    assert unknown(f"{before} https://evil.example/x {after}")


@given(st.text(st.sampled_from("ab.。@:/\\-+\"'<>=& %#[]()\t\né\u200b\uff0e"), max_size=120))
def test_a_link_that_begins_like_a_known_one_is_found(rest: str) -> None:
    text = f"https://acme.com{rest}@evil.example"
    assert unknown(text)


@given(any_text)
def test_looking_for_links_never_fails(text: str) -> None:
    assert isinstance(links(text), tuple)


def test_a_text_with_too_many_links_or_too_long_a_one_is_a_link_as_a_whole() -> None:
    many = " ".join(f"h{number}.example" for number in range(MAX_LINKS + 1))
    assert links(many) == (many,)
    assert unknown_links(many, lambda _: True) == ()
    long = "a " * MAX_TEXT
    assert links(long) == (long,)


def test_a_long_link_is_not_known_by_its_beginning() -> None:
    text = f'https://acme.com"{"x" * 5_000}@evil.example'
    assert unknown(text)


@pytest.mark.parametrize(
    "piece",
    [
        "a:",
        "ab:",
        'https://a"',
        "a.bb",
        "x@",
        "é.b ",
        '="',
        "= ",
        "&amp;amp;%25",
        "あ。",
        "\\",
        "\\u005c",
        "[::",
        "@",
        "a.1.",
    ],
)
def test_a_text_of_any_kind_is_read_in_time_that_grows_as_it_does(piece: str) -> None:
    text = (piece * MAX_TEXT)[:MAX_TEXT]
    began = time.process_time()
    links(text)
    assert time.process_time() - began < 2


@pytest.mark.parametrize("encoding", SEEN_THROUGH)
def test_a_link_is_found_in_each_encoding_that_redaction_sees_through(encoding: str) -> None:
    text = SEEN_THROUGH[encoding]("for all of it see https://evil.example/path?a=b of today")
    assert any("evil.example" in link for link in unknown(f"it was {text} so"))


def test_a_text_that_is_encoded_deeper_than_is_looked_through_is_a_place_as_a_whole() -> None:
    text = "https://evil.example"
    for _ in range(6):
        text = quote(text, safe="")
    assert unknown(text) == (text,)


def test_some_bytes_that_look_like_a_text_by_chance_are_no_place() -> None:
    assert links(base64.b64encode(bytes(60) + b"ab.com" + bytes(60)).decode()) == ()
