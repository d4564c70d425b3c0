"""What is printed can't do anything to a terminal, and JSON is JSON."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.cli.output import Output, safe
from agentflow.core.words import visible

DANGEROUS = ["\x1b[2J", "\x9b2J", "\u202e", "\u200b", "\u2028", "\xa0", "\r", "\b", "\ud800"]


@given(st.text())
def test_nothing_invisible_is_left_but_lines_and_tabs(text: str) -> None:
    assert all(character.isprintable() or character in "\n\t" for character in visible(text))


@pytest.mark.parametrize("dangerous", DANGEROUS)
def test_what_could_mislead_is_written_out(dangerous: str) -> None:
    assert visible(f"a{dangerous}b").startswith("a\\")


@pytest.mark.parametrize("text", ["Zoë", "żółć", "日本語", "عربى", "हिन्दी", "€ 10 → ✓", "🙂"])
def test_letters_and_signs_of_every_script_are_left_alone(text: str) -> None:
    assert visible(text) == text


def test_markup_is_text() -> None:
    assert safe("[bold]x[/bold]").plain == "[bold]x[/bold]"


def test_money_and_odd_values_become_one_json_document(capsys: pytest.CaptureFixture[str]) -> None:
    document = {"cost_usd": Decimal("0.10"), "ratio": float("nan"), "text": "\x1b\u202e\ud800"}
    Output(as_json=True).result(document)
    assert json.loads(capsys.readouterr().out) == {**document, "cost_usd": "0.10", "ratio": None}


def test_what_others_print_does_not_reach_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(as_json=True)
    with output.reserved():
        print("noise")
        output.result({})
    captured = capsys.readouterr()
    assert (json.loads(captured.out), captured.err) == ({}, "noise\n")
