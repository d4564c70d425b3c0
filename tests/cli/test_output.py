"""What is printed can't do anything to a terminal, and JSON is JSON."""

import json
from decimal import Decimal

import pytest

from agentflow.cli.output import Output, safe


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
