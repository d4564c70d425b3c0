"""The redactor: what it takes out, and what becomes of texts that can't be looked at."""

import threading
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest

from agentflow.adapters.detect_secrets import DetectSecrets
from agentflow.core.known_values import MAX_KNOWN, KnownValues
from agentflow.core.redaction import MAX_SCANNED
from agentflow.core.tags import Tagged
from agentflow.redaction import Finding, Redactor

SOON = timedelta(milliseconds=50)


class Raising:
    name = "raising"

    def find(self, text: str) -> Iterable[Finding]:
        raise ValueError(text)


class Hanging:
    name = "hanging"

    def __init__(self) -> None:
        self.free = threading.Event()
        self.asked = 0

    def find(self, text: str) -> Iterable[Finding]:
        self.asked += 1
        self.free.wait(30)
        return [Finding(0, 1, "first")]


def test_cards_keys_and_marked_values_are_taken_out() -> None:
    known = KnownValues().plus([Tagged("name", "Anna Meier", ())])
    text = "anna meier, 4111 1111 1111 1111, a@b.org"
    assert Redactor().text(text, known) == "[name], [card], [email]"


def test_a_detector_that_raises_drops_the_text() -> None:
    assert Redactor(Raising()).text("hunter2") == "[dropped: raising could not look at it]"


def test_a_detector_that_hangs_drops_the_text_and_is_asked_again_when_it_is_back() -> None:
    hanging = Hanging()
    redactor = Redactor(hanging, timeout=SOON)
    assert "hunter2" not in redactor.text("hunter2")
    # Nobody waits for it a second time.
    assert "hunter2" not in redactor.text("hunter2")
    assert hanging.asked == 1
    hanging.free.set()
    back = (redactor.text("xyz") for _ in range(500) if not threading.Event().wait(0.01))
    assert next(text for text in back if "dropped" not in text) == "[first]yz"


def test_what_one_detector_leaves_the_next_one_looks_at() -> None:
    class Word:
        def __init__(self, word: str) -> None:
            self.name = self.word = word

        def find(self, text: str) -> Iterable[Finding]:
            place = text.find(self.word)
            return [Finding(place, place + len(self.word), "word")] if place >= 0 else []

    assert Redactor(Word("one"), Word("two")).text("one two three") == "[word] [word] three"


def test_a_text_of_ten_megabytes_is_cut_before_it_is_looked_at() -> None:
    text = Redactor(DetectSecrets()).text("x" * 10_000_000)
    assert len(text) < MAX_SCANNED
    assert text.endswith("more]")


def test_of_a_run_with_too_many_marked_values_no_text_is_told() -> None:
    full = KnownValues().plus(Tagged("x", f"value-{number}", ()) for number in range(MAX_KNOWN + 1))
    assert "hello" not in Redactor().text("hello", full)


def test_json_is_redacted_to_its_names() -> None:
    told: Any = Redactor().json({"a@b.org": ["4111 1111 1111 1111", 4111111111111111, None, True]})
    assert told == {"[email]": ["[card]", "[card]", None, True]}


@pytest.mark.parametrize(
    "text",
    [
        "password = 'correct-horse-7'",
        "aws_secret_access_key = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'",
        "https://discord.com: MTk4NjIyNDgzNDcxOTI1MjQ4." + "Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs",
        "AccountKey=" + "lJzRc1YdHaAA2KCNJJ1tkYwF/+mKK6Ygw0NGe170Xu592euJv2wYUtBlV8z+qnlcNQSnIYVTkLWntUO1F8j8rQ==",
    ],
)  # fmt: skip
def test_secrets_that_detect_secrets_knows_are_taken_out(text: str) -> None:
    assert "[secret]" in Redactor(DetectSecrets()).text(text)


def test_what_is_no_secret_is_left_by_detect_secrets() -> None:
    text = "order 7 of 2026-11-26 failed: 0a4d55a8d778e5022fab701977c5d840bbc486d0"
    assert Redactor(DetectSecrets()).text(text) == text


def test_what_presidio_recognizes_is_taken_out() -> None:
    # Takes seconds to import, in each process that collects the tests.
    from tests.telemetry.badges import badges_and_addresses

    redactor = Redactor(badges_and_addresses(), timeout=timedelta(seconds=20))
    assert redactor.text("B-1234 came from 192.168.1.20") == "[badge] came from [ip_address]"
